#include <cstdio>
#include "voxgemm/context.h"
int main() {
  voxgemm::Context context;
  std::printf("dense BEV map %s\n", context.describe().c_str());
}
