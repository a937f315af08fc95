// SPDX-License-Identifier: Apache-2.0
/* include/enclayer/enclayer.h from C99: every function, every way to misuse it. Argument: test/data/quotes. */
#include <enclayer/enclayer.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int failures = 0;

#define EXPECT(condition)                                                     \
  do {                                                                        \
    if (!(condition)) {                                                       \
      ++failures;                                                             \
      fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
    }                                                                         \
  } while (0)

typedef struct {
  char* bytes;
  size_t size;
} content;

static content read_file(const char* folder, const char* name) {
  content out = {NULL, 0};
  char path[4096];
  FILE* file;
  snprintf(path, sizeof path, "%s/%s", folder, name);
  file = fopen(path, "rb");
  if (file == NULL || (out.bytes = malloc(1 << 20)) == NULL) {
    perror(path);
    exit(1);
  }
  out.size = fread(out.bytes, 1, 1 << 20, file);
  fclose(file);
  return out;
}

#define AT INT64_C(1750809600) /* 2025-06-25T00:00:00Z */
#define POLICY "{\"version\": 1, \"accepted_tcb_statuses\": [\"SWHardeningNeeded\"]}"

static enclayer_verifier* verifier_of(const char* policy) {
  enclayer_verifier* out = NULL;
  char why[256];
  EXPECT(enclayer_verifier_new(NULL, 0, policy, policy == NULL ? 0 : strlen(policy), &out, why, sizeof why) ==
         ENCLAYER_OK);
  EXPECT(out != NULL && why[0] == '\0');
  return out;
}

static void verdicts_are_those_of_the_library(content quote, content collateral, content root) {
  enclayer_verifier* verifier = verifier_of(POLICY);
  enclayer_verdict* verdict = NULL;
  const uint8_t* bytes = (const uint8_t*)quote.bytes;

  EXPECT(enclayer_verify(verifier, bytes, quote.size, collateral.bytes, collateral.size, AT, &verdict) == ENCLAYER_OK);
  EXPECT(enclayer_verdict_trusted(verdict) == 1);
  EXPECT(enclayer_verdict_simulated(verdict) == 0);
  EXPECT(strcmp(enclayer_verdict_reason(verdict), "TCB_SW_HARDENING_NEEDED") == 0);
  EXPECT(strcmp(enclayer_verdict_tcb_status(verdict), "SWHardeningNeeded") == 0);
  EXPECT(enclayer_verdict_expires(verdict) == INT64_C(1751804210)); /* 2025-07-06T12:16:50Z */
  EXPECT(strstr(enclayer_verdict_json(verdict), "\"verdict\": \"trusted\"") != NULL);
  enclayer_verdict_free(verdict);
  EXPECT(enclayer_verify(verifier, bytes, quote.size, collateral.bytes, collateral.size, AT, NULL) == ENCLAYER_OK);

  EXPECT(enclayer_verify(verifier, bytes, quote.size, collateral.bytes, collateral.size, 0, &verdict) ==
         ENCLAYER_UNTRUSTED);
  EXPECT(enclayer_verdict_trusted(verdict) == 0);
  EXPECT(strcmp(enclayer_verdict_reason(verdict), "SGX_PCK_CERT_CHAIN_EXPIRED") == 0);
  EXPECT(enclayer_verdict_tcb_status(verdict) == NULL);
  EXPECT(enclayer_verdict_expires(verdict) == -1);
  enclayer_verdict_free(verdict);

  EXPECT(enclayer_verify(verifier, NULL, 0, collateral.bytes, collateral.size, AT, &verdict) == ENCLAYER_UNTRUSTED);
  EXPECT(strcmp(enclayer_verdict_reason(verdict), "UNSUPPORTED_QUOTE_FORMAT") == 0);
  enclayer_verdict_free(verdict);
  EXPECT(enclayer_verify(verifier, bytes, quote.size, NULL, 0, AT, &verdict) == ENCLAYER_UNTRUSTED);
  EXPECT(strcmp(enclayer_verdict_reason(verdict), "UNSUPPORTED_COLLATERAL_FORMAT") == 0);
  enclayer_verdict_free(verdict);
  enclayer_verifier_free(verifier);

  verifier = verifier_of(NULL);
  EXPECT(enclayer_verify(verifier, bytes, quote.size, collateral.bytes, collateral.size, AT, &verdict) ==
         ENCLAYER_UNTRUSTED);
  EXPECT(strcmp(enclayer_verdict_reason(verdict), "TCB_SW_HARDENING_NEEDED") == 0);
  EXPECT(strcmp(enclayer_verdict_tcb_status(verdict), "SWHardeningNeeded") == 0);
  enclayer_verdict_free(verdict);
  enclayer_verifier_free(verifier);

  EXPECT(enclayer_verifier_new(root.bytes, root.size, POLICY, strlen(POLICY), &verifier, NULL, 0) == ENCLAYER_OK);
  EXPECT(enclayer_verify(verifier, bytes, quote.size, collateral.bytes, collateral.size, AT, NULL) == ENCLAYER_OK);
  enclayer_verifier_free(verifier);
}

static void sizes_are_bounded(content quote, content collateral) {
  enclayer_verifier* verifier = verifier_of(POLICY);
  enclayer_verdict* verdict = NULL;
  size_t large = ENCLAYER_MAX_QUOTE_SIZE + 1;
  char* padded = calloc(1, large);
  EXPECT(padded != NULL);
  memcpy(padded, quote.bytes, quote.size);
  EXPECT(enclayer_verify(verifier, (uint8_t*)padded, large - 1, collateral.bytes, collateral.size, AT, NULL) ==
         ENCLAYER_OK);
  EXPECT(enclayer_verify(verifier, (uint8_t*)padded, large, collateral.bytes, collateral.size, AT, &verdict) ==
         ENCLAYER_UNTRUSTED);
  EXPECT(strcmp(enclayer_verdict_reason(verdict), "UNSUPPORTED_QUOTE_FORMAT") == 0);
  enclayer_verdict_free(verdict);

  memset(padded, ' ', large);
  memcpy(padded, collateral.bytes, collateral.size);
  EXPECT(enclayer_verify(verifier, (uint8_t*)quote.bytes, quote.size, padded, large - 1, AT, NULL) == ENCLAYER_OK);
  EXPECT(enclayer_verify(verifier, (uint8_t*)quote.bytes, quote.size, padded, large, AT, NULL) == ENCLAYER_UNTRUSTED);
  enclayer_verifier_free(verifier);

  memset(padded, ' ', large);
  memcpy(padded, POLICY, strlen(POLICY));
  EXPECT(enclayer_verifier_new(NULL, 0, padded, ENCLAYER_MAX_POLICY_SIZE, &verifier, NULL, 0) == ENCLAYER_OK);
  enclayer_verifier_free(verifier);
  EXPECT(enclayer_verifier_new(NULL, 0, padded, ENCLAYER_MAX_POLICY_SIZE + 1, &verifier, NULL, 0) ==
         ENCLAYER_INVALID_ARGUMENT);
  EXPECT(enclayer_verifier_new(padded, ENCLAYER_MAX_ROOT_SIZE + 1, NULL, 0, &verifier, NULL, 0) ==
         ENCLAYER_INVALID_ARGUMENT);
  free(padded);
}

static void misuse_is_refused(content quote, content collateral) {
  enclayer_verifier* verifier = (enclayer_verifier*)&failures;
  enclayer_verdict* verdict = (enclayer_verdict*)&failures;
  const uint8_t* bytes = (const uint8_t*)quote.bytes;
  char why[256], tight[8];
  memset(why, 'x', sizeof why);
  memset(tight, 'x', sizeof tight);

  EXPECT(enclayer_verifier_new(NULL, 0, NULL, 0, NULL, why, sizeof why) == ENCLAYER_INVALID_ARGUMENT);
  EXPECT(strcmp(why, "verifier is NULL") == 0);
  EXPECT(enclayer_verifier_new(NULL, 1, NULL, 0, &verifier, why, sizeof why) == ENCLAYER_INVALID_ARGUMENT);
  EXPECT(verifier == NULL && strcmp(why, "root_pem is NULL, its size is not 0") == 0);
  EXPECT(enclayer_verifier_new(NULL, 0, NULL, 1, &verifier, why, sizeof why) == ENCLAYER_INVALID_ARGUMENT);
  EXPECT(verifier == NULL && strcmp(why, "policy is NULL, its size is not 0") == 0);
  EXPECT(enclayer_verifier_new("", 0, NULL, 0, &verifier, why, sizeof why) == ENCLAYER_INVALID_ARGUMENT);
  EXPECT(verifier == NULL && strstr(why, "root certificate") != NULL);
  EXPECT(enclayer_verifier_new(NULL, 0, "", 0, &verifier, why, sizeof why) == ENCLAYER_INVALID_ARGUMENT);
  EXPECT(verifier == NULL && strstr(why, "policy: ") != NULL);
  EXPECT(enclayer_verifier_new(NULL, 0, "{}", 2, &verifier, tight, sizeof tight - 1) == ENCLAYER_INVALID_ARGUMENT);
  EXPECT(strcmp(tight, "policy") == 0 && tight[7] == 'x');
  EXPECT(enclayer_verifier_new(NULL, 0, "{}", 2, &verifier, tight + 7, 0) == ENCLAYER_INVALID_ARGUMENT);
  EXPECT(tight[7] == 'x');

  EXPECT(enclayer_verify(NULL, bytes, quote.size, collateral.bytes, collateral.size, AT, &verdict) ==
         ENCLAYER_INVALID_ARGUMENT);
  EXPECT(verdict == NULL);
  verifier = verifier_of(POLICY);
  EXPECT(enclayer_verify(verifier, NULL, 1, collateral.bytes, collateral.size, AT, &verdict) ==
         ENCLAYER_INVALID_ARGUMENT);
  EXPECT(enclayer_verify(verifier, bytes, quote.size, NULL, 1, AT, &verdict) == ENCLAYER_INVALID_ARGUMENT);
  EXPECT(enclayer_verify(verifier, bytes, quote.size, collateral.bytes, collateral.size, -1, &verdict) ==
         ENCLAYER_INVALID_ARGUMENT);
  EXPECT(enclayer_verify(verifier, bytes, quote.size, collateral.bytes, collateral.size, INT64_C(253402300800),
                         &verdict) == ENCLAYER_INVALID_ARGUMENT);
  EXPECT(enclayer_verify(verifier, bytes, quote.size, collateral.bytes, collateral.size, INT64_MAX, &verdict) ==
         ENCLAYER_INVALID_ARGUMENT);
  EXPECT(verdict == NULL);
  EXPECT(enclayer_verify(verifier, bytes, quote.size, collateral.bytes, collateral.size, INT64_C(253402300799),
                         &verdict) == ENCLAYER_UNTRUSTED);
  enclayer_verdict_free(verdict);
  enclayer_verifier_free(verifier);

  enclayer_verifier_free(NULL);
  enclayer_verdict_free(NULL);
  EXPECT(enclayer_verdict_trusted(NULL) == 0);
  EXPECT(strcmp(enclayer_verdict_reason(NULL), "UNKNOWN") == 0);
  EXPECT(enclayer_verdict_tcb_status(NULL) == NULL);
  EXPECT(enclayer_verdict_simulated(NULL) == 0);
  EXPECT(enclayer_verdict_expires(NULL) == -1);
  EXPECT(enclayer_verdict_json(NULL) == NULL);
}

static void evidence_is_taken_in_other_forms(content quote, content collateral, content certificate) {
  enclayer_verifier* verifier = verifier_of(POLICY);
  enclayer_verdict* verdict = NULL;
  const uint8_t* bytes = (const uint8_t*)quote.bytes;
  const uint8_t* pem = (const uint8_t*)certificate.bytes;
  char* hex = malloc(2 * quote.size + 1);
  size_t i;
  EXPECT(hex != NULL);
  for (i = 0; i < quote.size; ++i) snprintf(hex + 2 * i, 3, "%02x", bytes[i]);

  EXPECT(enclayer_verify_evidence(verifier, bytes, quote.size, collateral.bytes, collateral.size, AT, NULL) ==
         ENCLAYER_OK);
  EXPECT(enclayer_verify_evidence(verifier, (uint8_t*)hex, 2 * quote.size, collateral.bytes, collateral.size, AT,
                                  NULL) == ENCLAYER_OK);
  EXPECT(enclayer_verify(verifier, (uint8_t*)hex, 2 * quote.size, collateral.bytes, collateral.size, AT, NULL) ==
         ENCLAYER_UNTRUSTED);
  EXPECT(enclayer_verify_evidence(verifier, bytes, quote.size, NULL, 0, AT, &verdict) == ENCLAYER_UNTRUSTED);
  EXPECT(strcmp(enclayer_verdict_reason(verdict), "UNSUPPORTED_COLLATERAL_FORMAT") == 0);
  enclayer_verdict_free(verdict);
  EXPECT(enclayer_verify_evidence(verifier, (const uint8_t*)"notes", 5, NULL, 0, AT, &verdict) == ENCLAYER_UNTRUSTED);
  EXPECT(strcmp(enclayer_verdict_reason(verdict), "UNSUPPORTED_QUOTE_FORMAT") == 0);
  EXPECT(strstr(enclayer_verdict_json(verdict), "this is text of 5 bytes") != NULL);
  enclayer_verdict_free(verdict);

  /* A certificate is judged as one by both; a bare quote is none. */
  for (i = 0; i < 2; ++i) {
    int result =
        i == 0
            ? enclayer_verify_ra_tls(verifier, pem, certificate.size, collateral.bytes, collateral.size, 0, &verdict)
            : enclayer_verify_evidence(verifier, pem, certificate.size, collateral.bytes, collateral.size, 0, &verdict);
    EXPECT(result == ENCLAYER_UNTRUSTED);
    EXPECT(strcmp(enclayer_verdict_reason(verdict), "RA_TLS_CERTIFICATE_EXPIRED") == 0);
    enclayer_verdict_free(verdict);
  }
  EXPECT(enclayer_verify_ra_tls(verifier, pem, certificate.size, NULL, 0, AT, &verdict) == ENCLAYER_UNTRUSTED);
  EXPECT(strcmp(enclayer_verdict_reason(verdict), "UNSUPPORTED_COLLATERAL_FORMAT") == 0);
  enclayer_verdict_free(verdict);
  EXPECT(enclayer_verify_ra_tls(verifier, bytes, quote.size, collateral.bytes, collateral.size, AT, &verdict) ==
         ENCLAYER_UNTRUSTED);
  EXPECT(strcmp(enclayer_verdict_reason(verdict), "UNSUPPORTED_RA_TLS_FORMAT") == 0);
  enclayer_verdict_free(verdict);

  EXPECT(enclayer_verify_ra_tls(verifier, NULL, 1, NULL, 0, AT, &verdict) == ENCLAYER_INVALID_ARGUMENT);
  EXPECT(enclayer_verify_ra_tls(NULL, pem, certificate.size, NULL, 0, AT, &verdict) == ENCLAYER_INVALID_ARGUMENT);
  EXPECT(enclayer_verify_evidence(verifier, NULL, 1, NULL, 0, AT, &verdict) == ENCLAYER_INVALID_ARGUMENT);
  EXPECT(enclayer_verify_evidence(verifier, bytes, quote.size, NULL, 1, AT, &verdict) == ENCLAYER_INVALID_ARGUMENT);
  EXPECT(verdict == NULL);
  free(hex);
  enclayer_verifier_free(verifier);
}

int main(int argc, char** argv) {
  content quote, collateral, root, certificate;
  if (argc != 2) return 1;
  quote = read_file(argv[1], "cases/C_eval17/quote.bin");
  collateral = read_file(argv[1], "cases/C_eval17/collateral.json");
  root = read_file(argv[1], "intel_root_2033.pem");
  certificate = read_file(argv[1], "../ratls/gramine-cert.pem");
  verdicts_are_those_of_the_library(quote, collateral, root);
  sizes_are_bounded(quote, collateral);
  misuse_is_refused(quote, collateral);
  evidence_is_taken_in_other_forms(quote, collateral, certificate);
  EXPECT(enclayer_version()[0] >= '0' && enclayer_version()[0] <= '9');
  EXPECT(strstr(enclayer_policy_schema(), "\"mr_enclave\"") != NULL);
  free(quote.bytes);
  free(collateral.bytes);
  free(root.bytes);
  free(certificate.bytes);
  return failures == 0 ? 0 : 1;
}
