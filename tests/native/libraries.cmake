# Libraries of other projects that some tests run: those of the Python that is first in the PATH.
find_program(LUTRA_TEST_PYTHON NAMES python3 python)
set(lutra_prefix "")
set(lutra_packages "")
if(LUTRA_TEST_PYTHON)
  execute_process(
    COMMAND ${LUTRA_TEST_PYTHON} -c "import sys, sysconfig; print(sys.prefix, sysconfig.get_path('purelib'), sep=';')"
    OUTPUT_VARIABLE lutra_folders OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  if(lutra_folders)
    list(GET lutra_folders 0 lutra_prefix)
    list(GET lutra_folders 1 lutra_packages)
  endif()
endif()
find_file(LUTRA_ONEDNN_LIBRARY libdnnl.so.3 PATHS ${lutra_prefix}/lib NO_DEFAULT_PATH)
find_file(LUTRA_XNNPACK_LIBRARY libexecutorch_backend_xnnpack.so PATHS ${lutra_packages}/executorch/lib NO_DEFAULT_PATH)

# lutra_add_library_test(<name> <library> SOURCES <files> LIBS <targets>): the program gets the library's path, or
# nothing where it is not installed; then it says so, and CTest counts it as skipped.
function(lutra_add_library_test name library)
  cmake_parse_arguments(PARSE_ARGV 2 ARG "" "" "SOURCES;LIBS")
  lutra_add_executable(${name} SOURCES ${ARG_SOURCES} LIBS ${ARG_LIBS})
  if(library)
    add_test(NAME ${name} COMMAND ${name} ${library})
  else()
    add_test(NAME ${name} COMMAND ${name})
  endif()
  set_tests_properties(${name} PROPERTIES SKIP_RETURN_CODE 77)
endfunction()
