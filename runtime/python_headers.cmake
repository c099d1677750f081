# Python.h: of the interpreter or, on a Debian or Ubuntu without python3-dev, from the package that
# would bring it, unpacked into the build folder. Nothing is installed and no rights are needed.

execute_process(
  COMMAND ${Python_EXECUTABLE} -c "import sysconfig; print(sysconfig.get_path('include'))"
  OUTPUT_STRIP_TRAILING_WHITESPACE OUTPUT_VARIABLE PYTHON_HEADERS COMMAND_ERROR_IS_FATAL ANY)
set(UNPACKED ${CMAKE_CURRENT_BINARY_DIR}/python_headers)

function(unpack_python_headers)
  find_program(APT_GET apt-get)
  find_program(DPKG_DEB dpkg-deb)
  set(package libpython${Python_VERSION_MAJOR}.${Python_VERSION_MINOR}-dev)
  if(NOT APT_GET OR NOT DPKG_DEB)
    message(FATAL_ERROR "No ${PYTHON_HEADERS}/Python.h, which the native module is built with: "
      "install the headers of Python (on Fedora python3-devel)")
  endif()
  message(STATUS "Python.h is missing: unpacking ${package}")
  file(MAKE_DIRECTORY ${UNPACKED}/state/lists/partial ${UNPACKED}/cache/archives/partial)
  set(apt ${APT_GET} -qq -o Dir::State=${UNPACKED}/state -o Dir::Cache=${UNPACKED}/cache
    -o Dir::State::status=/var/lib/dpkg/status -o APT::Sandbox::User=root)
  foreach(step update "download;${package}")
    execute_process(COMMAND ${apt} ${step} WORKING_DIRECTORY ${UNPACKED} RESULT_VARIABLE failed)
    if(failed)
      message(FATAL_ERROR "No ${PYTHON_HEADERS}/Python.h, and ${package} cannot be fetched: "
        "install python3-dev")
    endif()
  endforeach()
  file(GLOB archive ${UNPACKED}/${package}_*.deb)
  execute_process(COMMAND ${DPKG_DEB} -x ${archive} ${UNPACKED} COMMAND_ERROR_IS_FATAL ANY)
  file(REMOVE_RECURSE ${UNPACKED}/state ${UNPACKED}/cache ${archive})
endfunction()

if(NOT EXISTS ${PYTHON_HEADERS}/Python.h)
  if(NOT EXISTS ${UNPACKED}${PYTHON_HEADERS}/Python.h)
    unpack_python_headers()
  endif()
  set(Python_INCLUDE_DIR ${UNPACKED}${PYTHON_HEADERS})
  # pyconfig.h includes the one of the machine from here.
  include_directories(SYSTEM ${UNPACKED}/usr/include)
endif()
