# The kernels of CUDA devices: nvcc makes a fatbin of each .cu file. Nothing of CUDA is linked.

option(OSTINATO_CUDA "Compile the CUDA kernels" ON)
set(OSTINATO_CUDA_ARCHITECTURES "80;90;100" CACHE STRING
  "GPUs to compile for, as 90 for sm_90, the oldest first; PTX for it serves all others")

function(ostinato_kernels)
  find_program(NVCC nvcc HINTS ${CUDA_PACKAGES}/bin PATHS /usr/local/cuda/bin)
  if(NOT NVCC)
    message(FATAL_ERROR "No nvcc, which compiles the CUDA kernels: install nvidia-cuda-nvcc, "
      "nvidia-nvvm, nvidia-cuda-crt, nvidia-cuda-runtime and nvidia-cuda-cccl (13.0.*), or build "
      "without them by OSTINATO_CUDA=OFF")
  endif()
  # The compiler runs once, for the oldest; only the assembler runs for each.
  list(GET OSTINATO_CUDA_ARCHITECTURES 0 oldest)
  list(TRANSFORM OSTINATO_CUDA_ARCHITECTURES PREPEND sm_ OUTPUT_VARIABLE codes)
  list(JOIN codes "," codes)
  set(targets -gencode arch=compute_${oldest},code=[${codes},compute_${oldest}])
  set(flags -std=c++20 --expt-relaxed-constexpr -Werror all-warnings
    -I${CMAKE_CURRENT_SOURCE_DIR}/native -I${GENERATED})
  set(launcher)
  if(CCACHE)
    set(launcher ${CCACHE})
  endif()
  foreach(source IN LISTS ARGN)
    get_filename_component(name ${source} NAME_WE)
    set(fatbin ${CMAKE_CURRENT_BINARY_DIR}/kernels/${name}.fatbin)
    # Bits that the CPU's kernels have too: no product is fused with the sum that takes it.
    if(name MATCHES "^(create|optimizer|pointwise|random)")
      set(exact -fmad=false)
    else()
      set(exact)
    endif()
    add_custom_command(
      OUTPUT ${fatbin}
      COMMAND ${launcher} ${NVCC} -c -fatbin --compress-mode=size ${flags} ${exact} ${targets}
        -MD -MT ${fatbin} -MF ${fatbin}.d ${source} -o ${fatbin}
      DEPENDS ${source} ostinato_generated
      DEPFILE ${fatbin}.d
      COMMENT "Compiling CUDA kernels ${name}"
      VERBATIM)
    list(APPEND fatbins ${fatbin})
  endforeach()
  add_custom_target(ostinato_kernels ALL DEPENDS ${fatbins})
  install(FILES ${fatbins} DESTINATION ostinato/runtime/kernels)
endfunction()

file(GLOB KERNEL_SOURCES CONFIGURE_DEPENDS native/cuda/kernels/*.cu)
list(APPEND KERNEL_SOURCES ${POINTWISE_KERNELS})
if(OSTINATO_CUDA)
  file(MAKE_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/kernels)
  ostinato_kernels(${KERNEL_SOURCES})
endif()

# The same kernels and a driver for them, for tests on machines without a GPU.
option(OSTINATO_CUDA_ON_CPU "Build tests/cuda_on_cpu" OFF)
if(OSTINATO_CUDA_ON_CPU)
  set(STAND_IN ${PACKAGE_ROOT}/tests/cuda_on_cpu)
  file(GLOB STAND_IN_SOURCES CONFIGURE_DEPENDS ${STAND_IN}/*.cpp)
  set_source_files_properties(${KERNEL_SOURCES} PROPERTIES LANGUAGE CXX COMPILE_OPTIONS -xc++)
  add_library(cuda_on_cpu MODULE ${STAND_IN_SOURCES} ${KERNEL_SOURCES} native/core/dtype.cpp)
  target_include_directories(cuda_on_cpu PRIVATE ${STAND_IN} native ${GENERATED})
  target_compile_options(cuda_on_cpu PRIVATE -O1 -fvisibility=default
    -Wno-unknown-pragmas -Wno-tautological-compare)
  target_link_libraries(cuda_on_cpu PRIVATE ostinato_flags)
  add_dependencies(cuda_on_cpu ostinato_generated)
endif()
