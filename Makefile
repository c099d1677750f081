# Everything a developer runs. The environment is .venv; the native module is built into runtime/.

PYTHON ?= python3
BUILD ?= build/dev
PYTEST_ARGS ?=

bin := .venv/bin
stamps := .venv/stamps
pip := $(bin)/python -m pip install --quiet --disable-pip-version-check
native_sources = $(shell find runtime/native -name '*.[ch]pp')
build_needs = $(shell $(bin)/python -c \
  'import shlex, tomllib; print(shlex.join(tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"]))')
# The module comes from $(BUILD), so this only links the tree into .venv.
editable := --no-build-isolation --config-settings=wheel.cmake=false \
  --config-settings=editable.mode=inplace

.PHONY: dev test lint format demo bench wheel-test sanitize clean
.DELETE_ON_ERROR:

dev: $(stamps)/base $(BUILD)/build.ninja
	@$(bin)/cmake --build $(BUILD)
	@cp --update $(BUILD)/_C.*.so runtime/

test: dev $(stamps)/test
	$(bin)/python -m pytest $(PYTEST_ARGS)

lint: $(stamps)/test $(stamps)/lint
	$(bin)/ruff format --check
	$(bin)/ruff check
	$(bin)/pyright
	$(bin)/clang-format --dry-run -Werror $(native_sources)

format: $(stamps)/lint
	$(bin)/ruff format
	$(bin)/ruff check --fix
	$(bin)/clang-format -i $(native_sources)

demo: dev $(stamps)/demo
	$(bin)/python examples/minigpt.py

bench: dev $(stamps)/test
	for bench in tests/bench/*.py; do $(bin)/python $$bench || exit 1; done

$(bin)/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; \
	  v in ((3, 11), (3, 12), (3, 13)) or sys.exit("ostinato needs Python 3.11 to 3.13; this is %d.%d: name another, as in `make PYTHON=python3.12`" % v)'
	$(PYTHON) -m venv .venv

$(stamps)/base: pyproject.toml | $(bin)/python
	$(pip) $(build_needs)
	$(pip) $(editable) --editable .
	@mkdir -p $(stamps)
	@touch $@

$(stamps)/%: $(stamps)/base
	$(pip) $(editable) --editable '.[$*]'
	@touch $@

$(BUILD)/build.ninja: $(stamps)/base
	$(bin)/cmake -S runtime -B $(BUILD) -G Ninja -D CMAKE_MAKE_PROGRAM=$(CURDIR)/$(bin)/ninja \
	  -D Python_EXECUTABLE=$(CURDIR)/$(bin)/python -D OSTINATO_WERROR=ON
	@touch $@

clean:
	rm -rf build dist runtime/_C.*.so
