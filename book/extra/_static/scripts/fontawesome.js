// Stands in for the theme's copy of Font Awesome as a script (1.5 MB on every first visit), which is there for custom
// icons. All icons of this site come from the theme's web font.
