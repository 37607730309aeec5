// Lets oneTBB lend as many threads as any test asks for: a context has no more than really work, so on a
// small machine the tests of 5 or 16 threads would all be tests of 2.
#include <tbb/global_control.h>

namespace {
const tbb::global_control more_threads(tbb::global_control::max_allowed_parallelism, 70);
}
