# Looks at the code the compiler makes: work in front of do_not_optimize stays, the same work without it goes.
# The second half proves that the first means something. Run with -DCOMPILER=..., -DINCLUDE=..., -DSOURCE=...
function(assembly_of result)
  execute_process(
    COMMAND ${COMPILER} -std=c++20 -O2 -S -o - -I ${INCLUDE} ${ARGN} ${SOURCE}
    OUTPUT_VARIABLE assembly
    COMMAND_ERROR_IS_FATAL ANY)
  set(${result} "${assembly}" PARENT_SCOPE)
endfunction()

assembly_of(watched -DWATCHED)
assembly_of(unwatched)
if(NOT watched MATCHES "work of a step")
  message(FATAL_ERROR "the compiler removed work in front of do_not_optimize:\n${watched}")
endif()
if(unwatched MATCHES "work of a step")
  message(FATAL_ERROR "the compiler kept work that nothing watches, so the test proves nothing:\n${unwatched}")
endif()
