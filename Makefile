# distill: `make` builds ./distill, `make help` lists the rest.
# Switches: `make CUDA=0`, `make DEBUG=1`, `make ARCH=x86-64-v3`, `make NVCC=/path/to/nvcc CUDNN_HOME=/path` …
CUDA       ?= auto       # 1: with the CUDA backend; 0: without; auto: with, where nvcc and cuDNN are found
DEBUG      ?= 0          # 1: symbols, no optimisation beyond -Og
ARCH       ?= native     # the CPU to build for (-march)
OPT        ?= $(if $(filter 1,$(DEBUG)),-Og -g,$(if $(strip $(SANITIZE)),-O1,-O3))
SANITIZE   ?=            # e.g. address,undefined
EMULATE    ?= 0          # 1: the GPU's kernels on the CPU, thread by thread (without CUDA; for `make test-emulated`)
GPU_ARCHS  ?= 80 90      # compute capabilities compiled for; PTX of the last one serves newer GPUs
CUDA_HOME  ?=            # the CUDA toolkit; empty: where nvcc lies
ONNX       ?= auto       # 1: with ONNX models (weights export); 0: without; auto: with, where libonnx-dev is found
CUDNN_HOME ?=            # holds include/cudnn.h and lib/; empty: CUDA toolkit, system, Python package
NVCC       ?= $(shell command -v nvcc || ls -d $(firstword $(CUDA_HOME) /usr/local/cuda)/bin/nvcc 2>/dev/null)
PYTHON     ?= python3
PCH        ?= 1          # 1: the library headers that most sources include are compiled once (by g++ alone)

DEBIAN_PACKAGES := g++ make curl libdnnl-dev libopenblas-openmp-dev libstb-dev doctest-dev libcli11-dev nlohmann-json3-dev \
                   zlib1g-dev libssl-dev dataset-fashion-mnist ca-certificates unzip python3
OPTIONAL_PACKAGES := libonnx-dev libprotobuf-dev

# Values above carry the blanks before their comments.
$(foreach v,CUDA DEBUG ARCH SANITIZE EMULATE GPU_ARCHS CUDA_HOME CUDNN_HOME NVCC ONNX PCH,$(eval override $v := $(strip $($v))))
override OPT := $(strip $(OPT))

ifeq ($(MAKELEVEL),0)
MAKEFLAGS += -j$(shell nproc)   # a -j on the command line wins
endif
.DEFAULT_GOAL := all
others := $(filter-out clean,$(MAKECMDGOALS))
$(if $(filter clean,$(MAKECMDGOALS)),$(if $(others),$(error clean goes alone, since goals are made side by side: make clean && make $(others))))
.DELETE_ON_ERROR:

# ---- what there is -------------------------------------------------------------------------------------------------------
ifeq ($(EMULATE),1)
override CUDA := 0
endif
# The toolkit's release: 12 is the first whose cuBLAS has 64-bit products. Older ones are passed over, unless asked for by CUDA=1.
CUDA_RELEASE := $(if $(filter-out 0,$(CUDA)),$(if $(NVCC),$(shell "$(NVCC)" --version | sed -n 's/.*release \([0-9]*\).*/\1/p')))
CUDA_FITS    := $(shell [ "$(or $(CUDA_RELEASE),0)" -ge 12 ] && echo 1)
ifeq ($(CUDA),1)
$(if $(CUDA_FITS),,$(error CUDA=1: needs a CUDA toolkit of release 12 or later; found $(if $(NVCC),release $(CUDA_RELEASE) at $(NVCC),no nvcc: install one or set NVCC)))
endif
ifneq ($(CUDA_FITS),)
override CUDA_HOME := $(or $(CUDA_HOME),$(abspath $(dir $(shell readlink -f "$(NVCC)"))/..))
first_of   = $(firstword $(wildcard $1))
CUDA_LIB  := $(patsubst %/,%,$(dir $(call first_of,$(foreach d,lib64 lib targets/x86_64-linux/lib lib/x86_64-linux-gnu,\
                 $(CUDA_HOME)/$d/libcublas.so*))))
# cuDNN: in CUDNN_HOME where that is set, else the CUDA toolkit, system folders, then a Python package's folder (asked for only if all else fails).
python_path = $(shell $(PYTHON) -c 'import sys; print(*sys.path)' 2>/dev/null)
CUDNN_INC := $(or $(CUDNN_HOME:%=%/include),$(CUDA_HOME)/include /usr/include /usr/include/x86_64-linux-gnu)
CUDNN_INC := $(or $(call first_of,$(CUDNN_INC:%=%/cudnn.h)),$(if $(CUDNN_HOME),,$(call first_of,$(python_path:%=%/nvidia/cudnn/include/cudnn.h))))
CUDNN_INC := $(CUDNN_INC:%/cudnn.h=%)
CUDNN_LIB := $(if $(CUDNN_INC),$(call first_of,$(foreach d,lib lib64 lib/x86_64-linux-gnu ../lib/x86_64-linux-gnu,\
                 $(CUDNN_INC)/../$d/libcudnn.so $(CUDNN_INC)/../$d/libcudnn.so.*)))
$(if $(CUDNN_HOME),$(if $(CUDNN_LIB),,$(error CUDNN_HOME=$(CUDNN_HOME): expected include/cudnn.h and lib/libcudnn.so there)))
endif
ifeq ($(CUDA),auto)
override CUDA := $(if $(and $(CUDA_FITS),$(CUDNN_LIB)),1,0)
endif
KIND   := $(if $(filter 1,$(EMULATE)),emulated) $(if $(SANITIZE),asan)
CONFIG := $(subst $() ,-,$(strip $(if $(strip $(KIND)),$(KIND),$(if $(filter 1,$(CUDA)),cuda,cpu)) $(if $(filter 1,$(DEBUG)),debug)))
BUILD  := build/$(CONFIG)

ifeq ($(ONNX),auto)
override ONNX := $(if $(wildcard /usr/include/onnx/onnx_pb.h),$(if $(wildcard /usr/include/google/protobuf/message.h),1,0),0)
endif

# The OpenMP build by its folder: Debian's /etc/alternatives may point at the pthread build, whose threads fight OpenMP's.
OPENBLAS_LIB := $(firstword $(wildcard /usr/lib/*/openblas-openmp))
OPENBLAS_INC := $(firstword $(wildcard /usr/include/*/openblas-openmp))

# ---- flags ---------------------------------------------------------------------------------------------------------------
# /usr/include itself must not be named again: it would come before the C++ library's own wrappers.
system_include = $(addprefix -isystem ,$(filter-out /usr/include,$1))
comma         := ,
commas         = $(subst $() ,$(comma),$(strip $1))
library_folder = $(foreach d,$(filter-out /usr/lib/%-linux-gnu,$1),-L$d -Wl$(comma)-rpath$(comma)$d)
WARNINGS  := -Wall -Wextra -Wshadow -Werror
CPPFLAGS  := -Iinclude $(call system_include,$(OPENBLAS_INC)) -MMD -MP
CXXFLAGS   = -std=gnu++17 $(OPT) -march=$(ARCH) -fopenmp -fno-math-errno -fno-trapping-math
LDFLAGS   := -fopenmp -Wl,--as-needed
LDLIBS    := $(call library_folder,$(OPENBLAS_LIB)) -ldnnl -lopenblas -lcrypto -lz $(if $(filter 1,$(ONNX)),-lonnx -lonnx_proto -lprotobuf)
ifneq ($(SANITIZE),)
CXXFLAGS  += -fsanitize=$(SANITIZE) -fno-sanitize-recover=all -fno-omit-frame-pointer -g1
WARNINGS  += -Wno-maybe-uninitialized   # g++ 12 sees ghosts in std::regex once it is sanitized
LDFLAGS   += -fsanitize=$(SANITIZE)
endif
ifeq ($(EMULATE),1)
CPPFLAGS  += -DDISTILL_EMULATE_GPU=1
endif
ifeq ($(CUDA),1)
CPPFLAGS  += -DDISTILL_CUDA=1 $(call system_include,$(CUDA_HOME)/include $(CUDNN_INC))
GPU_CODE  := $(foreach a,$(GPU_ARCHS),-gencode arch=compute_$a,code=sm_$a) \
             -gencode arch=compute_$(lastword $(GPU_ARCHS)),code=compute_$(lastword $(GPU_ARCHS))
NVCCFLAGS := -std=c++17 $(OPT) $(GPU_CODE) --expt-relaxed-constexpr -Werror all-warnings -ccbin $(firstword $(filter-out %ccache %distcc,$(CXX))) \
             -Xcompiler $(call commas,$(filter-out -std=% $(OPT),$(CXXFLAGS)) -Wall -Wextra -Werror)
LDLIBS    += $(call library_folder,$(CUDA_LIB)) -lcudart_static -ldl -lrt -lpthread
LDLIBS    += $(CUDNN_LIB) $(call library_folder,$(CUDNN_LIB:/%=$(abspath $(dir $(CUDNN_LIB)))))
endif

# ---- objects -------------------------------------------------------------------------------------------------------------
SOURCES   := $(sort $(wildcard src/*.cpp src/*.cu))
EMULATION := src/gpu_emulation.cpp src/cuda_emulated_backend.cpp src/cuda_batchnorm.cu
SOURCES   := $(if $(filter 1,$(CUDA)),$(filter-out $(filter-out %.cu,$(EMULATION)),$(SOURCES)),\
                 $(filter-out src/cuda_% src/cudnn_% src/gpu_emulation.cpp,$(SOURCES)) $(if $(filter 1,$(EMULATE)),$(EMULATION)))
TESTS     := $(sort $(wildcard tests/*.cpp))
OBJECTS   := $(SOURCES:%=$(BUILD)/obj/%.o)
LIBRARY   := $(filter-out $(BUILD)/obj/src/main.cpp.o,$(OBJECTS))
TEST_OBJS := $(TESTS:%=$(BUILD)/obj/%.o)
-include $(OBJECTS:.o=.d) $(TEST_OBJS:.o=.d)

# Files that hold a variable's value are written only when it changes, so that other flags (a source that came or went, another CPU behind
# -march=native) rebuild what they concern.
define kept   # for: file, variable
$1: $(shell [ '$($2)' = "$$(cat $1 2>/dev/null)" ] || echo changed)
	@mkdir -p $$(@D); echo '$$($2)' > $$@
endef
.PHONY: changed
CPU   := $(if $(filter native,$(ARCH)),$(shell $(CXX) -march=native -Q --help=target 2>/dev/null | cksum))
FLAGS := $(CXX) $(CPPFLAGS) $(CXXFLAGS) $(WARNINGS) | $(NVCC) $(NVCCFLAGS) | $(ONNX) | $(CPU)
LINK  := $(LDFLAGS) $(LDLIBS) $(OBJECTS) $(TEST_OBJS)
$(eval $(call kept,$(BUILD)/FLAGS,FLAGS))
$(eval $(call kept,$(BUILD)/LINK,LINK))
$(shell mkdir -p $(BUILD)/obj/src $(BUILD)/obj/tests)

.PHONY: all distill config deps test test-commands test-kernels check-layers format format-check isa-AVX2 isa-SSE41 test-slow test-emulated emulated test-onnx test-optuna test-parallel test-slurm test-cudnn asan bench-peer gpu-check clean help
all: distill
distill: $(BUILD)/distill   # a link to this configuration's; always looked at, since other configurations make it, too
	@ln -sfn $< $@

$(BUILD)/obj/%.cpp.o: %.cpp $(BUILD)/FLAGS | config
	@echo "  c++  $<"
	@$(CXX) $(PRECOMPILED) $(CPPFLAGS) $(CXXFLAGS) $(WARNINGS) -c $< -o $@

ifeq ($(CUDA),1)
$(BUILD)/obj/%.cu.o: %.cu $(BUILD)/FLAGS | config
	@echo "  nvcc $<"
	@$(NVCC) $(CPPFLAGS) $(NVCCFLAGS) -c $< -o $@
else
$(BUILD)/obj/%.cu.o: %.cu $(BUILD)/FLAGS | config
	@echo "  c++  $<"
	@$(CXX) $(PRECOMPILED) $(CPPFLAGS) $(CXXFLAGS) $(WARNINGS) -c -x c++ $< -o $@
endif

# The commit is compiled into one small file, again whenever git's answer changes.
COMMIT := $(or $(shell git describe --always --dirty --abbrev=12 2>/dev/null),unknown)
$(eval $(call kept,$(BUILD)/COMMIT,COMMIT))
$(BUILD)/obj/src/base_version.cpp.o: CPPFLAGS += -DDISTILL_COMMIT='"$(COMMIT)"'
$(BUILD)/obj/src/base_version.cpp.o: $(BUILD)/COMMIT

# As Debian's library was compiled. The tests read models, too.
ifeq ($(ONNX),1)
$(BUILD)/obj/src/net_onnx.cpp.o $(BUILD)/obj/tests/test_onnx.cpp.o: CPPFLAGS += -DDISTILL_ONNX=1 -DONNX_ML=1 -DONNX_NAMESPACE=onnx
endif

# -O3 is for what computes. The rest compiles in two thirds of the time at -O1.
COMPUTES := %.cu src/cpu_% src/gpu% src/dataset.cpp src/data_image.cpp
PLAIN    := $(filter-out $(COMPUTES),$(SOURCES))
as_fast_as = $(if $(filter -O3,$(OPT)),$1,$(OPT))
$(PLAIN:%=$(BUILD)/obj/%.o) $(TEST_OBJS): override OPT := $(call as_fast_as,-O1)

# The library headers that most sources include are compiled once. Not for the sanitized and the emulated builds, which so find the source
# that forgets one; nor where ccache or clang could not use them.
ifeq ($(PCH)$(strip $(KIND) $(findstring ccache,$(CXX)) $(findstring clang,$(CXX))),1)
STANDARD := algorithm chrono cmath cstdio filesystem functional map memory optional set sstream string utility vector
define precompiled   # for: headers, objects
$$(shell mkdir -p $(BUILD)/pch; printf '\043include <%s>\n' $2 | cmp -s - $(BUILD)/pch/$1.h || printf '\043include <%s>\n' $2 > $(BUILD)/pch/$1.h)
$(BUILD)/pch/$1.h.gch: $(BUILD)/pch/$1.h $(BUILD)/FLAGS | config
	@$$(CXX) $$(CPPFLAGS) $$(CXXFLAGS) $$(WARNINGS) -x c++-header $$< -o $$@
$(BUILD)/pch/$1.h.gch: CPPFLAGS := $(CPPFLAGS)   # not those of the object that asks for it first
$3: $(BUILD)/pch/$1.h.gch
$3: PRECOMPILED := -include $(BUILD)/pch/$1.h
endef
$(eval $(call precompiled,plain,$(STANDARD),$(PLAIN:%=$(BUILD)/obj/%.o)))
$(eval $(call precompiled,computing,$(STANDARD),$(patsubst %,$(BUILD)/obj/%.o,$(filter-out $(PLAIN) $(if $(filter 1,$(CUDA)),%.cu),$(SOURCES)))))
$(eval $(call precompiled,tests,$(STANDARD) doctest/doctest.h,$(TEST_OBJS)))
endif

# What the kernels are compiled for: the GPU is asked at start whether it runs them.
$(BUILD)/obj/src/cuda_backend.cpp.o: CPPFLAGS += -DDISTILL_GPU_ARCHS='"$(GPU_ARCHS)"'

$(BUILD)/distill: $(OBJECTS) $(BUILD)/LINK
	@echo "  link $@"
	@$(CXX) $(LDFLAGS) $(filter %.o,$^) $(LDLIBS) -o $@

$(BUILD)/tests: $(LIBRARY) $(TEST_OBJS) $(BUILD)/LINK
	@echo "  link $@"
	@$(CXX) $(LDFLAGS) $(filter %.o,$^) $(LDLIBS) -o $@

# ---- fuzzing (docs/fuzzing.md): parsers and targets by clang with sanitizers and libFuzzer, the rest as the tests have it -------------------
FUZZ_CXX     ?= clang++
FUZZ_SECONDS ?= 60
FUZZED       := base_csv base_files base_nearest base_numbers base_safetensors base_texts base_verdict cmd_preset \
                core_conv_plan_store data_image data_image_parts data_import_idx data_jpeg_check data_jpeg_scans data_jpeg_segments \
                dataset dataset_writer graph graph_show paper paper_plan report report_collect report_feed report_folders report_html report_ktg report_likeness report_summary \
                report_text search_early search_history search_journal search_space search_svg train_checkpoint train_options train_run_folder train_schedule
FUZZED       += base_mapped_file base_pickle base_torch_file base_weight_files base_weights base_zip cmd_weights net_foreign_weights net_onnx
FUZZ_FLAGS   := -std=gnu++17 -O1 -g1 -fno-omit-frame-pointer -fno-sanitize-recover=all -fsanitize=address,undefined,float-cast-overflow
FUZZED       := $(FUZZED:%=build/fuzz/obj/src/%.cpp.o)
FUZZERS      := $(patsubst tests/fuzz/%.cpp,build/fuzz/%,$(wildcard tests/fuzz/fuzz_*.cpp))
FUZZ_SHARED  := build/fuzz/obj/tests/fuzz/fuzz.cpp.o build/fuzz/parsers.a build/fuzz/rest.a
.SECONDARY: $(FUZZERS:build/fuzz/%=build/fuzz/obj/tests/fuzz/%.cpp.o) $(FUZZ_SHARED)
-include $(wildcard build/fuzz/obj/*/*.d build/fuzz/obj/*/*/*.d)

FUZZ := $(FUZZ_CXX) $(CPPFLAGS) $(FUZZ_FLAGS) | $(ONNX)
$(eval $(call kept,build/fuzz/FLAGS,FUZZ))
$(eval $(call kept,build/fuzz/LINK,LINK))
build/fuzz/obj/%.cpp.o: %.cpp Makefile build/fuzz/FLAGS
	@mkdir -p $(@D)
	@echo "  fuzz $<"
	@$(FUZZ_CXX) $(CPPFLAGS) $(FUZZ_FLAGS) -fsanitize=fuzzer-no-link -c $< -o $@

# stb_image shifts by more than a word holds where a broken JPEG's bits run out: wrong bits of a broken image, nothing worse.
build/fuzz/obj/src/data_image.cpp.o: FUZZ_FLAGS += -fno-sanitize=shift-exponent
ifeq ($(ONNX),1)
build/fuzz/obj/src/net_onnx.cpp.o: CPPFLAGS += -DDISTILL_ONNX=1 -DONNX_ML=1 -DONNX_NAMESPACE=onnx
endif
build/fuzz/parsers.a: $(FUZZED)
build/fuzz/rest.a: $(filter-out $(FUZZED:build/fuzz/%=$(BUILD)/%),$(LIBRARY))
build/fuzz/%.a: build/fuzz/LINK
	@rm -f $@ && ar rcs $@ $(filter %.o,$^)

build/fuzz/fuzz_%: build/fuzz/obj/tests/fuzz/fuzz_%.cpp.o $(FUZZ_SHARED)
	@echo "  link $@"
	@$(FUZZ_CXX) $(FUZZ_FLAGS) -fsanitize=fuzzer -Wl,--as-needed -Wl,--start-group $^ -Wl,--end-group $(LDLIBS) -lgomp -o $@

# ---- what to type --------------------------------------------------------------------------------------------------------
config:         ## what the build found
	@CXX='$(CXX)' INCLUDES='$(filter-out -M%,$(CPPFLAGS))' CUDA='$(CUDA)' NVCC='$(NVCC)' CUDA_HOME='$(CUDA_HOME)' CUDA_LIB='$(CUDA_LIB)' \
	 CUDA_RELEASE='$(CUDA_RELEASE)' CUDA_FITS='$(CUDA_FITS)' CUDNN_LIB='$(CUDNN_LIB)' OPENBLAS_LIB='$(OPENBLAS_LIB)' ONNX='$(ONNX)' ONNX_PACKAGES='$(OPTIONAL_PACKAGES)' sh tools/config.sh

deps:           ## installs the Debian packages that are missing (sudo, if not root)
	@missing=$$(for p in $(DEBIAN_PACKAGES); do \
	     dpkg-query -W -f='$${Status}' $$p 2>/dev/null | grep -q '^install ok installed' || echo $$p; done); \
	 if [ -z "$$missing" ]; then echo "all packages are there: $(DEBIAN_PACKAGES)"; \
	 else echo "installing" $$missing; root="$$([ $$(id -u) = 0 ] || echo sudo) env DEBIAN_FRONTEND=noninteractive"; \
	     $$root apt-get update -q; $$root apt-get install -qy --no-install-recommends $$missing; fi && \
	 echo 'optional, for weights export: $(OPTIONAL_PACKAGES)'

# Waiting OpenMP threads sleep here: on a busy machine spinning ones made the tests ten times slower.
test test-slow test-emulated: export OMP_WAIT_POLICY ?= passive
# Cases that start the program, or launch no kernel, beside the others: neither fills a second core.
test: test-commands test-kernels check-layers $(if $(SANITIZE),,isa-AVX2 isa-SSE41)  ## the fast tests
	@for part in kernels commands; do echo "$$part:"; sed -n '/^\[doctest\] test cases/,$$p' $(BUILD)/test-$$part.log; done

test-commands: SUITE := --test-suite='no kernels'
test-kernels:  SUITE := --test-suite-exclude='no kernels'
test-commands test-kernels: $(BUILD)/tests $(BUILD)/distill
	@echo "  $@, to $(BUILD)/$@.log"
	@$< --test-case-exclude='slow: *' $(SUITE) > $(BUILD)/$@.log 2>&1 || { cat $(BUILD)/$@.log; exit 1; }

# Without AVX-512 oneDNN takes other kernels, and not all of them do what they say (include/cpu_conv2d.h): on a CPU that has it, the
# convolutions and what is compared with PyTorch run as on those that have not, too. With a thread each, side by side under -j.
ISA_CASES := *conv2d*,pointwise: *,products by the batch*,*conv_transpose2d*,winograd: all directions*,fold_batchnorm*,nets: folded*,nets: what a teacher*,golden: features*,golden: steps of*,\
             golden: training steps of*
isa-AVX2: ISA_CASES := $(ISA_CASES),golden: training steps like*,mhgd nets: weights survive*,mhgd: three steps like*
isa-AVX2 isa-SSE41: isa-%: $(BUILD)/tests
	@OMP_NUM_THREADS=1 DNNL_MAX_CPU_ISA=$* $< --test-case='$(subst $(comma) ,$(comma),$(ISA_CASES))' > $(BUILD)/$@.log 2>&1 \
	    || { cat $(BUILD)/$@.log; exit 1; }
	@echo "oneDNN held to $*: $$(tail -n 1 $(BUILD)/$@.log)"

check-layers:   ## that includes follow the table at README.md's end, modules have no cycles, and headers define what they say
	@$(PYTHON) tools/check_layers

test-slow: $(BUILD)/tests $(BUILD)/distill  ## the slow tests
	$< --test-case='slow: *'

EMULATED := build/emulated$(if $(SANITIZE),-asan)$(if $(filter 1,$(DEBUG)),-debug)/tests
emulated:       ## builds the tests with the GPU's kernels run on the CPU, thread by thread (include/gpu_emulation.h)
	@$(MAKE) --no-print-directory EMULATE=1 $(EMULATED)

test-emulated: emulated  ## the operations', networks' and trainer's tests on those kernels, without a GPU
	$(EMULATED) --test-case-exclude='slow: *' --test-suite-exclude='no kernels'

test-optuna: $(BUILD)/distill  ## the graph search by several workers, on a PostgreSQL server of its own
	$(PYTHON) tests/test_ktg_optuna.py --distill $<

test-onnx: $(BUILD)/distill  ## exported models of every family in onnxruntime (PyPI's, into a folder of its own): the same logits
	$(PYTHON) tests/test_onnx_runtime.py --distill $<

test-parallel test-slurm: test-%: $(BUILD)/distill  ## the papers' rows as jobs of GNU parallel, of a Slurm job array (docs/rows.md)
	@tests/engines.sh $* $<

test-cudnn: $(BUILD)/tests $(BUILD)/distill  ## the CUDA half of the tests with the cuDNN linked and with PyPI's newest (docs/cudnn.md)
	@$(if $(filter 1,$(CUDA)),,echo "test-cudnn: this build is without CUDA (CUDA=$(CUDA)): nothing to test" >&2; exit 2)
	@PYTHON='$(PYTHON)' CUDA_HOME='$(CUDA_HOME)' tools/test_cudnn.sh $< nvidia-cudnn-cu$(CUDA_RELEASE)

asan:           ## the fast tests under the address and undefined-behaviour sanitizers (CPU build)
	@$(MAKE) --no-print-directory CUDA=0 SANITIZE=address,undefined test

.PHONY: fuzz fuzzers
fuzzers: $(FUZZERS)
fuzz:           ## every parser of foreign bytes, FUZZ_SECONDS each; needs clang libclang-rt-14-dev (docs/fuzzing.md)
	@echo 'extern "C" int LLVMFuzzerTestOneInput(const char*, unsigned long) { return 0; }' | \
	 $(FUZZ_CXX) -fsanitize=fuzzer,address -x c++ - -o /dev/null 2>/dev/null || \
	 { echo "make fuzz: $(FUZZ_CXX) with libFuzzer is not there; on Debian 12: apt-get install clang libclang-rt-14-dev" >&2; exit 1; }
	@$(MAKE) --no-print-directory CUDA=0 EMULATE=0 SANITIZE= fuzzers
	@sh tests/fuzz/run.sh $(FUZZ_SECONDS) $(FUZZERS)

bench-peer: all ## our training step beside PyTorch's, in one run
	$(PYTHON) tests/peer/bench_peer.py

gpu-check:      ## on a GPU host: tests, sanitizer, speed beside PyTorch, exactness, accuracy; PARTS="tests bench …" for some
	@PYTHON='$(PYTHON)' NVCC='$(NVCC)' CUDA_HOME='$(CUDA_HOME)' CUDNN_HOME='$(CUDNN_HOME)' ARCH='$(ARCH)' tools/gpu_check.sh $(PARTS)

# All sources.
FORMATTED    := $(wildcard include/*.h src/*.cpp src/*.cu tests/*.h tests/*.cpp tests/fuzz/*.h tests/fuzz/*.cpp)
CLANG_FORMAT ?= clang-format
format:         ## lays the sources out (.clang-format; Debian's clang-format, version 14)
	@$(CLANG_FORMAT) -i $(FORMATTED)
format-check:   ## that `make format` would change nothing
	@$(CLANG_FORMAT) --dry-run --Werror $(FORMATTED)

# A .cu file as g++ sees it: tools know no nvcc.
.PHONY: compile_commands.json
compile_commands.json:  ## each source's compiler command, for clangd and other tools
	@for f in $(SOURCES) $(TESTS); do \
	     case $$f in *.cu) language='-x c++ ';; *) language=;; esac; \
	     printf '{"directory": "%s", "file": "%s", "command": "%s"}\n' '$(CURDIR)' $$f \
	         "$(CXX) $(filter-out -M%,$(CPPFLAGS)) $(CXXFLAGS) $(WARNINGS) $${language}-c $$f"; \
	 done | sed '1s/^/[/; $$!s/$$/,/; $$s/$$/]/' > $@

clean:          ## removes everything built
	rm -rf build distill compile_commands.json

help:           ## this list
	@sed -n 's/^\([a-z_. -]*\):[^#]*## */  make \1\t/p' Makefile | expand -t 24
	@echo; sed -n '/^CUDA  /,/^PYTHON/s/^\([A-Z_]*\) *?= *\([^#]*\)# */  \1=\2\t/p' Makefile | expand -t 24
