/* SPDX-License-Identifier: Apache-2.0
 * attest-from-c DEVICES URL CA token AUDIENCE
 * attest-from-c DEVICES URL CA secret NAME CERTIFICATE KEY      what the attestation service at URL gives this enclave
 *
 * For an enclave of Gramine: DEVICES is /dev/attestation, where one file takes report data and another one has the quote. CA,
 * CERTIFICATE and KEY are PEM files: the authorities that the service's certificate may be of, and who asks it. */
#include <enclayer/attest.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_PEM = 1 << 20 };

static void fail(const char* what, const char* why) {
  fprintf(stderr, "%s: %s\n", what, why);
  exit(1);
}

static char* read_text(const char* path) {
  char* text = malloc(MAX_PEM);
  FILE* file = fopen(path, "rb");
  if (file == NULL || text == NULL) fail(path, "it cannot be read");
  text[fread(text, 1, MAX_PEM - 1, file)] = '\0';
  fclose(file);
  return text;
}

/* The context is DEVICES. */
static int make_quote(void* context, const uint8_t report_data[64], uint8_t* quote, size_t* size) {
  char path[4096];
  FILE* file;
  snprintf(path, sizeof path, "%s/user_report_data", (const char*)context);
  file = fopen(path, "wb");
  if (file == NULL) return 1;
  if (fwrite(report_data, 1, 64, file) != 64) {
    fclose(file);
    return 2;
  }
  if (fclose(file) != 0) return 2;
  snprintf(path, sizeof path, "%s/quote", (const char*)context);
  file = fopen(path, "rb");
  if (file == NULL) return 3;
  *size = fread(quote, 1, *size, file);
  fclose(file);
  return 0;
}

static uint8_t answer[ENCLAYER_ATTEST_MAX_SECRET];

int main(int argc, char** argv) {
  const int is_secret = argc == 8 && strcmp(argv[4], "secret") == 0;
  if (!is_secret && (argc != 6 || strcmp(argv[4], "token") != 0))
    fail("usage",
         "attest-from-c DEVICES URL CA token AUDIENCE | attest-from-c DEVICES URL CA secret NAME CERTIFICATE KEY");
  enclayer_attest_service service = {0};
  service.struct_size = sizeof service;
  service.url = argv[2];
  service.authorities = read_text(argv[3]);
  service.make_quote = make_quote;
  service.context = argv[1];

  char why[256];
  size_t size = sizeof answer;
  int result;
  if (is_secret) {
    service.certificate = read_text(argv[6]);
    service.key = read_text(argv[7]);
    result = enclayer_attest_secret(&service, argv[5], answer, &size, why, sizeof why);
  } else {
    result = enclayer_attest_token(&service, argv[5], NULL, (char*)answer, &size, why, sizeof why);
  }
  if (result != ENCLAYER_ATTEST_OK) {
    fprintf(stderr, "%s: %s\n", argv[2], why);
    return result;
  }
  fwrite(answer, 1, size, stdout);
  memset(answer, 0, sizeof answer); /* an enclave would use it, and then wipe it by what its C library has for that */
  return 0;
}
