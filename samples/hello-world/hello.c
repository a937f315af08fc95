// SPDX-License-Identifier: Apache-2.0
/* Looks at what a container was given for its enclaves, and says it. Exit 0: all that was asked for is there.
 *   hello [--provision] [--stay]
 * --provision: the provisioning device has to be there too. --stay: then wait for SIGTERM, as a service would. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Opens the device as a loader of enclaves does, and closes it at once: an open one holds up microcode updates. */
static int look(const char* path) {
  int fd = open(path, O_RDWR | O_CLOEXEC);
  if (fd < 0) {
    printf("%s: %s\n", path, strerror(errno));
    return 1;
  }
  close(fd);
  printf("%s: opened\n", path);
  return 0;
}

int main(int argc, char** argv) {
  int provision = 0, stay = 0;
  for (int i = 1; i < argc; i++) {
    if (strcmp(argv[i], "--provision") == 0) {
      provision = 1;
    } else if (strcmp(argv[i], "--stay") == 0) {
      stay = 1;
    } else {
      fprintf(stderr, "usage: hello [--provision] [--stay]\n");
      return 2;
    }
  }

  const char* platform = getenv("ENCLAYER_PLATFORM");
  int simulated = platform != NULL && strcmp(platform, "sim") == 0;
  puts(simulated ? "Hello from a SIMULATED SGX node: nothing here is protected" : "Hello from an SGX node");

  int failed = look("/dev/sgx_enclave") + look("/dev/sgx/enclave");
  if (provision) failed += look("/dev/sgx_provision");
  const char* aesm = getenv("SGX_AESM_ADDR");
  printf("quotes: %s\n", aesm != NULL ? "from the node's quote helper" : "not asked for");
  fflush(stdout);

  if (stay && !failed) {
    sigset_t ends;
    int signal;
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    sigprocmask(SIG_BLOCK, &ends, NULL);
    sigwait(&ends, &signal);
  }
  return failed ? 1 : 0;
}
