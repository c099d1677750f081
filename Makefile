# Everything a developer runs. The environment is .venv; the native module is built into runtime/.

PYTHON ?= python3
BUILD ?= build/dev
PYTEST_ARGS ?=
SANITIZER ?= address
# The GPU that development builds have kernels for, as 90 for sm_90; wheels have them for all.
CUDA_ARCHITECTURES ?= 90

bin := .venv/bin
stamps := .venv/stamps
pip := $(bin)/python -m pip install --quiet --disable-pip-version-check
native_sources = $(shell find runtime/native tests/cuda_on_cpu -name '*.[ch]pp' -o -name '*.cu*')
build_needs = $(shell $(bin)/python -c \
  'import shlex, tomllib; print(shlex.join(tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"]))')
# A process of tests for each core.
parallel := --numprocesses=auto --dist=worksteal
sanitizer_library = $(or $(if $(filter address,$(SANITIZER)),asan),$(if \
  $(filter undefined,$(SANITIZER)),ubsan),tsan)
# The module comes from $(BUILD), so this only links the tree into .venv.
editable := --no-build-isolation --config-settings=wheel.cmake=false \
  --config-settings=editable.mode=inplace

.PHONY: dev test coverage stubs lint format demo bench test-gpu bench-gpu wheel-test sanitize
.PHONY: sanitize-gpu test-triton clean
.DELETE_ON_ERROR:

dev: $(stamps)/base $(BUILD)/build.ninja
	@$(bin)/cmake --build $(BUILD)
	@cp --update --remove-destination $(BUILD)/_C.*.so runtime/
	@mkdir -p runtime/kernels
	@cp --update --remove-destination $(BUILD)/kernels/*.fatbin runtime/kernels/

test: dev $(stamps)/test
	$(bin)/python -m pytest $(parallel) $(PYTEST_ARGS)

# Lines of the package that the suite runs; fails under the share in pyproject.toml.
coverage: dev $(stamps)/test
	$(bin)/python -m pytest $(parallel) --cov --cov-report=term-missing:skip-covered $(PYTEST_ARGS)

lint: $(stamps)/test $(stamps)/lint
	$(bin)/ruff format --check
	$(bin)/ruff check
	$(bin)/pyright
	$(bin)/clang-format --dry-run -Werror $(native_sources)

format: $(stamps)/lint
	$(bin)/ruff format
	$(bin)/ruff check --fix
	$(bin)/clang-format -i $(native_sources)

# From the op table: the .pyi files, which type checkers read, and docs/operators.md; docs/ir.md from
# dialects, passes and reasons.
stubs: dev
	$(bin)/python runtime/native/generate/stubs.py
	$(bin)/python runtime/native/generate/reference.py
	$(bin)/python runtime/native/generate/ir_reference.py

demo: dev $(stamps)/demo $(if $(shell command -v nvidia-smi),$(stamps)/gpu)
	$(bin)/python examples/minigpt.py

bench: dev $(stamps)/test
	for bench in host step compile_time lengths parity import_size capture view; do \
	  $(bin)/python tests/bench/$$bench.py || exit 1; done

# On a machine with an NVIDIA GPU. The peers of the benchmarks, a CUDA build of PyTorch and JAX, are
# used where they are installed.
test-gpu: dev $(stamps)/test $(stamps)/gpu
	$(bin)/python -m pytest tests/gpu $(PYTEST_ARGS)

# compute-sanitizer over the same; it comes with CUDA.
sanitize-gpu: dev $(stamps)/test $(stamps)/gpu
	$(bin)/python tests/sanitize_gpu.py

bench-gpu: dev $(stamps)/test $(stamps)/gpu
	$(bin)/python tests/bench/host.py --device cuda
	$(bin)/python tests/bench/step.py --device cuda --workloads reverse,minigpt,vit,gpt2
	$(bin)/python tests/bench/step.py --device cuda --workloads reverse,minigpt,vit --precision bf16
	$(bin)/python tests/bench/compile_time.py --device cuda
	$(bin)/python tests/bench/memory.py
	$(bin)/python tests/bench/endurance.py

# A wheel holds no C++, and what it needs holds no compiler and no torch; $(BUILD) saves a second build.
wheel-test: dev
	rm -rf dist
	$(bin)/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist \
	  --config-settings=build-dir=$(BUILD) --config-settings=cmake.define.OSTINATO_WERROR=ON .
	@elsewhere=$$(mktemp -d) && trap 'rm -rf $$elsewhere' EXIT && \
	$(bin)/python -m venv $$elsewhere/venv && \
	$$elsewhere/venv/bin/python -m pip install --quiet --disable-pip-version-check dist/*.whl && \
	cp tests/wheel_smoke.py $$elsewhere && cd $$elsewhere && \
	env -i HOME=$$elsewhere PATH=$$elsewhere/venv/bin venv/bin/python wheel_smoke.py

# The instrumented module has its own environment, which borrows the packages of .venv. The
# interpreter is not instrumented, so the sanitizer's library goes in first.
sanitize: home := $(CURDIR)/build/$(SANITIZER)
sanitize: $(stamps)/test
	$(bin)/python -m venv $(home)/venv
	@$(bin)/python -c 'import sysconfig; print(sysconfig.get_path("platlib"))' > \
	  "$$($(home)/venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("platlib"))')/borrowed.pth"
	$(home)/venv/bin/python -m pip install --quiet --no-deps --no-build-isolation --force-reinstall \
	  --config-settings=build-dir=$(home)/cmake \
	  --config-settings=cmake.define.OSTINATO_SANITIZE=$(SANITIZER) .
	LD_PRELOAD="$$(g++ -print-file-name=lib$(sanitizer_library).so) $$(g++ -print-file-name=libstdc++.so)" \
	ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 \
	TSAN_OPTIONS=halt_on_error=1 PATH="$(CURDIR)/$(bin):$$PATH" \
	$(home)/venv/bin/python -m pytest -p no:cacheprovider $(PYTEST_ARGS)

# The oldest Triton that is supported, over the packages of .venv; `make test` has the newest. Its
# interpreter does not go with NumPy 2.4.
test-triton: home := $(CURDIR)/build/triton
test-triton: dev $(stamps)/test
	$(bin)/python -m venv $(home)
	@$(bin)/python -c 'import sysconfig; print(sysconfig.get_path("platlib"))' > \
	  "$$($(home)/bin/python -c 'import sysconfig; print(sysconfig.get_path("platlib"))')/borrowed.pth"
	$(home)/bin/python -m pip install --quiet --disable-pip-version-check triton==3.6.0 "numpy<2.4"
	PYTHONPATH=frontend $(home)/bin/python -m pytest -p no:cacheprovider \
	  $(or $(PYTEST_ARGS),tests/codegen/test_triton.py tests/codegen/test_triton_regions.py \
	  tests/codegen/test_triton_attention.py tests/codegen/test_triton_build.py \
	  tests/codegen/test_triton_program.py tests/passes/test_batch.py)

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
	  -D Python_EXECUTABLE=$(CURDIR)/$(bin)/python -D OSTINATO_WERROR=ON \
	  -D OSTINATO_CUDA_ARCHITECTURES="$(CUDA_ARCHITECTURES)" -D OSTINATO_CUDA_ON_CPU=ON
	@touch $@

clean:
	rm -rf build dist runtime/kernels runtime/_C.*.so
