# `make learn` and `make test` need nothing but Python; the first of them makes the environment.
PYTHON ?= python3
VENV ?= .venv
PORT ?= 8888
CHAPTERS ?= chapters
BIN := $(VENV)/bin
# At home in containers; and no formgrader, which is for instructors and complains outside a course.
LAB_OPTIONS := --log-level=ERROR --allow-root --KernelManager.transport_encryption=auto \
  --ServerApp.jpserver_extensions=nbgrader.server_extensions.formgrader=False
# A process for each core, up to four; a file goes to one of them whole, as cells share a kernel and tests a built site.
IN_PARALLEL := --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

.PHONY: learn test book chapters adequacy bench

learn: $(VENV)/ready  # open JupyterLab on the chapters; also: make learn PORT=9000 HEADLESS=1
	@echo "Starting JupyterLab on $(CHAPTERS)/; its address, with the token, follows. Stop it with Ctrl-C, twice."
	@$(BIN)/jupyter lab --notebook-dir=$(CHAPTERS) --port=$(PORT) $(LAB_OPTIONS) $(if $(HEADLESS),--no-browser)

test: $(VENV)/ready  # everything, every notebook included
	@rm -rf .build/solved
	$(BIN)/autograder chapters --solved --to .build/solved
	$(BIN)/pytest $(IN_PARALLEL) --nbval-lax tests chapters .build/solved

book: $(VENV)/ready  # the website, in .build/book; also: make book SOLUTIONS=withheld
	$(BIN)/autograder book --solutions $(or $(SOLUTIONS),folded)

chapters: $(VENV)/ready  # the learner's notebooks, from solutions/
	$(BIN)/autograder chapters

adequacy: $(VENV)/ready  # what the checks accept, reject and name; also: make adequacy SEEDS=100, make adequacy WRITE=1
	$(BIN)/python tests/adequacy $(if $(SEEDS),--seeds $(SEEDS)) $(if $(WRITE),--write)

bench: $(VENV)/ready  # times, beside PyTorch's and TensorFlow's; also: make bench WRITE=1
	$(BIN)/python tests/benchmarks $(if $(WRITE),--write)

define CHECK_PYTHON
import sys
if not (3, 11) <= sys.version_info[:2] <= (3, 13):
    sys.exit("This needs Python 3.11 to 3.13, and $(PYTHON) is %d.%d. If another one is installed, name it: "
             "make learn PYTHON=python3.12" % sys.version_info[:2])
try:
    import ensurepip, venv
except ImportError:
    sys.exit("$(PYTHON) cannot make environments yet. On Debian and Ubuntu, type: sudo apt install python3-venv")
endef
export CHECK_PYTHON

$(VENV)/ready: pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "There is no $(PYTHON). On Debian and Ubuntu, type:" \
	  "sudo apt install python3 python3-venv; on macOS: brew install python@3.13"; exit 1; }
	@$(PYTHON) -c "$$CHECK_PYTHON"
	@echo "Making the environment in $(VENV), once: 4 GB of disk and a few minutes (more on Linux, with CUDA libraries)."
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --constraint constraints.txt --editable .
	$(BIN)/jupyter labextension disable --level=sys_prefix @jupyterlab/apputils-extension:announcements
	@touch $@ && echo "Done: $(VENV) is ready."
