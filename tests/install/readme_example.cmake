# The example in the README is the consumer's source, letter for letter.
file(READ ${README} readme)
file(READ ${EXAMPLE} example)
string(FIND "${readme}" "```cpp\n${example}```" at)
if(at LESS 0)
  message(FATAL_ERROR "README.md does not hold ${EXAMPLE} between ```cpp and ```")
endif()
