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

static void are_bytes(const enclayer_verdict* verdict, int field, const char* hex) {
  size_t i, size = 77;
  const uint8_t* bytes = enclayer_verdict_bytes(verdict, field, &size);
  char text[2 * 64 + 1] = "";
  EXPECT(size <= 64 && (bytes == NULL) == (size == 0));
  for (i = 0; i < size && i < 64; ++i) snprintf(text + 2 * i, 3, "%02x", bytes[i]);
  if (strcmp(text, hex) == 0) return;
  ++failures;
  fprintf(stderr, "field %d is %s, not %s\n", field, text, hex);
}

static uint64_t number(const enclayer_verdict* verdict, int field) {
  uint64_t value = UINT64_MAX;
  EXPECT(enclayer_verdict_number(verdict, field, &value) == 1);
  EXPECT(enclayer_verdict_number(verdict, field, NULL) == 0);
  return value;
}

static int is_text(const char* text, const char* expected) { return text != NULL && strcmp(text, expected) == 0; }

static void fields_are_those_of_the_json(content quote, content collateral, content td, content td_collateral) {
  enclayer_verifier* verifier = verifier_of(POLICY);
  enclayer_collateral* parsed = NULL;
  enclayer_verdict* verdict = NULL;
  uint64_t value = 5;
  char why[256];
  EXPECT(enclayer_collateral_new(NULL, 0, collateral.bytes, collateral.size, &parsed, why, sizeof why) == ENCLAYER_OK);
  EXPECT(why[0] == '\0');
  EXPECT(enclayer_check(verifier, ENCLAYER_QUOTE, (uint8_t*)quote.bytes, quote.size, parsed, NULL, NULL, AT,
                        &verdict) == ENCLAYER_OK);
  EXPECT(is_text(enclayer_verdict_text(verdict, ENCLAYER_TEE), "SGX"));
  EXPECT(is_text(enclayer_verdict_text(verdict, ENCLAYER_PLATFORM_TCB_STATUS), "SWHardeningNeeded"));
  EXPECT(is_text(enclayer_verdict_text(verdict, ENCLAYER_QE_TCB_STATUS), "UpToDate"));
  EXPECT(enclayer_verdict_text(verdict, ENCLAYER_TDX_MODULE_TCB_STATUS) == NULL);
  EXPECT(enclayer_verdict_text(verdict, ENCLAYER_CURRENT_TCB_STATUS) == NULL);
  EXPECT(strstr(enclayer_verdict_text(verdict, ENCLAYER_DETAIL), "SWHardeningNeeded") != NULL);
  EXPECT(enclayer_verdict_text(verdict, 77) == NULL);
  are_bytes(verdict, ENCLAYER_MR_ENCLAVE, "a4f45c39dac622cb1dd32ddb35a52ec92db41d0fa88a1c911c49e59c534f61cd");
  are_bytes(verdict, ENCLAYER_FMSPC, "00606a000000");
  are_bytes(verdict, ENCLAYER_PCE_ID, "0000");
  are_bytes(verdict, ENCLAYER_MR_TD, "");
  are_bytes(verdict, ENCLAYER_RTMR3, "");
  are_bytes(verdict, ENCLAYER_ATTESTED_KEY, "");
  are_bytes(verdict, 0, "");
  EXPECT(memcmp(enclayer_verdict_bytes(verdict, ENCLAYER_REPORT_DATA, NULL), quote.bytes + 368, 64) == 0);
  EXPECT(memcmp(enclayer_verdict_bytes(verdict, ENCLAYER_MR_SIGNER, NULL), quote.bytes + 176, 32) == 0);
  EXPECT(number(verdict, ENCLAYER_TCB_EVALUATION_DATA_NUMBER) == 17);
  EXPECT(number(verdict, ENCLAYER_DEBUG) == 0);
  EXPECT(number(verdict, ENCLAYER_TCB_DATE) % 86400 == 0);
  EXPECT(number(verdict, ENCLAYER_COLLATERAL_ISSUED) < AT);
  EXPECT(number(verdict, ENCLAYER_ISV_SVN) == ((uint8_t*)quote.bytes)[306]);
  EXPECT(enclayer_verdict_number(verdict, ENCLAYER_XFAM, &value) == 0 && value == 5);
  EXPECT(enclayer_verdict_number(verdict, 77, &value) == 0 && value == 5);
  EXPECT(is_text(enclayer_verdict_advisory(verdict, 0), "INTEL-SA-00615"));
  EXPECT(enclayer_verdict_advisory(verdict, 1) == NULL);
  EXPECT(enclayer_verdict_advisory(verdict, SIZE_MAX) == NULL);
  EXPECT(enclayer_verdict_json(verdict) == enclayer_verdict_json(verdict));
  enclayer_verdict_free(verdict);

  /* Of what did not verify nothing is repeated. */
  quote.bytes[100] ^= 1;
  EXPECT(enclayer_check(verifier, ENCLAYER_QUOTE, (uint8_t*)quote.bytes, quote.size, parsed, NULL, NULL, AT,
                        &verdict) == ENCLAYER_UNTRUSTED);
  quote.bytes[100] ^= 1;
  are_bytes(verdict, ENCLAYER_MR_ENCLAVE, "");
  EXPECT(enclayer_verdict_text(verdict, ENCLAYER_TEE) == NULL);
  EXPECT(enclayer_verdict_advisory(verdict, 0) == NULL);
  EXPECT(enclayer_verdict_number(verdict, ENCLAYER_ISV_SVN, &value) == 0);
  enclayer_verdict_free(verdict);
  enclayer_collateral_free(parsed);
  enclayer_verifier_free(verifier);

  verifier = verifier_of(NULL);
  EXPECT(enclayer_collateral_new(NULL, 0, td_collateral.bytes, td_collateral.size, &parsed, NULL, 0) == ENCLAYER_OK);
  EXPECT(enclayer_check(verifier, ENCLAYER_EVIDENCE, (uint8_t*)td.bytes, td.size, parsed, NULL, NULL, AT, &verdict) ==
         ENCLAYER_OK);
  EXPECT(is_text(enclayer_verdict_text(verdict, ENCLAYER_TEE), "TDX"));
  EXPECT(is_text(enclayer_verdict_text(verdict, ENCLAYER_TDX_MODULE_TCB_STATUS), "UpToDate"));
  are_bytes(verdict, ENCLAYER_MR_TD,
            "91eb2b44d141d4ece09f0c75c2c53d247a3c68edd7fafe8a3520c942a604a407de03ae6dc5f87f27428b2538873118b7");
  are_bytes(verdict, ENCLAYER_RTMR1,
            "0084452c01668329d4bc06acdf58a7205c26743304509973949e5619bf81a6a7aea8c323c173019b3093d54e579e9378");
  are_bytes(verdict, ENCLAYER_MR_ENCLAVE, "");
  are_bytes(verdict, ENCLAYER_MR_SERVICE_TD, "");
  EXPECT(memcmp(enclayer_verdict_bytes(verdict, ENCLAYER_REPORT_DATA, NULL), td.bytes + 568, 64) == 0);
  EXPECT(number(verdict, ENCLAYER_TD_ATTRIBUTES) == 0x10000000);
  EXPECT(number(verdict, ENCLAYER_XFAM) == 0x602e7);
  EXPECT(enclayer_verdict_number(verdict, ENCLAYER_ISV_SVN, &value) == 0);
  enclayer_verdict_free(verdict);
  enclayer_collateral_free(parsed);
  enclayer_verifier_free(verifier);
}

static void report_data_is_asked_for_with_each_quote(content quote, content collateral) {
  enclayer_verifier* verifier = verifier_of(POLICY);
  enclayer_collateral* parsed = NULL;
  enclayer_verdict* verdict = NULL;
  const uint8_t* bytes = (const uint8_t*)quote.bytes;
  uint8_t wanted[64], mask[64];
  EXPECT(enclayer_collateral_new(NULL, 0, collateral.bytes, collateral.size, &parsed, NULL, 0) == ENCLAYER_OK);
  memcpy(wanted, bytes + 368, 64);
  memset(mask, 0xff, 64);
#define CHECK(data, of, out) enclayer_check(verifier, ENCLAYER_QUOTE, bytes, quote.size, parsed, data, of, AT, out)
  EXPECT(CHECK(wanted, NULL, NULL) == ENCLAYER_OK);
  EXPECT(CHECK(wanted, mask, NULL) == ENCLAYER_OK);
  wanted[63] ^= 1;
  EXPECT(CHECK(wanted, NULL, &verdict) == ENCLAYER_UNTRUSTED);
  EXPECT(strcmp(enclayer_verdict_reason(verdict), "REPORT_DATA_NOT_ACCEPTED") == 0);
  are_bytes(verdict, ENCLAYER_FMSPC, "00606a000000");
  enclayer_verdict_free(verdict);
  EXPECT(CHECK(wanted, mask, NULL) == ENCLAYER_UNTRUSTED);
  mask[63] = 0xfe;
  EXPECT(CHECK(wanted, mask, NULL) == ENCLAYER_OK);
  wanted[0] ^= 0x80;
  EXPECT(CHECK(wanted, mask, NULL) == ENCLAYER_UNTRUSTED);
  EXPECT(CHECK(NULL, NULL, NULL) == ENCLAYER_OK);

  EXPECT(CHECK(NULL, mask, &verdict) == ENCLAYER_INVALID_ARGUMENT);
#undef CHECK
  EXPECT(enclayer_check(verifier, 3, bytes, quote.size, parsed, NULL, NULL, AT, &verdict) == ENCLAYER_INVALID_ARGUMENT);
  EXPECT(enclayer_check(verifier, -1, bytes, quote.size, parsed, NULL, NULL, AT, &verdict) ==
         ENCLAYER_INVALID_ARGUMENT);
  EXPECT(enclayer_check(NULL, 0, bytes, quote.size, parsed, NULL, NULL, AT, &verdict) == ENCLAYER_INVALID_ARGUMENT);
  EXPECT(verdict == NULL);
  EXPECT(enclayer_check(verifier, 0, bytes, quote.size, NULL, NULL, NULL, AT, &verdict) == ENCLAYER_UNTRUSTED);
  EXPECT(strcmp(enclayer_verdict_reason(verdict), "UNSUPPORTED_COLLATERAL_FORMAT") == 0);
  enclayer_verdict_free(verdict);
  enclayer_collateral_free(parsed);
  enclayer_verifier_free(verifier);
}

static void collateral_that_is_none_says_why(content quote, content collateral) {
  enclayer_collateral* parsed = (enclayer_collateral*)&failures;
  const uint8_t* bytes = (const uint8_t*)quote.bytes;
  char why[256];
  EXPECT(enclayer_collateral_new(NULL, 0, "{}", 2, &parsed, why, sizeof why) == ENCLAYER_INVALID_ARGUMENT);
  EXPECT(parsed == NULL && strstr(why, "pck_crl_issuer_chain") != NULL);
  EXPECT(enclayer_collateral_new(NULL, 0, NULL, 0, &parsed, why, sizeof why) == ENCLAYER_INVALID_ARGUMENT);
  EXPECT(strstr(why, "collateral: ") != NULL);
  EXPECT(enclayer_collateral_new(NULL, 0, NULL, 1, &parsed, why, sizeof why) == ENCLAYER_INVALID_ARGUMENT);
  EXPECT(strcmp(why, "json is NULL, its size is not 0") == 0);
  EXPECT(enclayer_collateral_new(NULL, 1, collateral.bytes, collateral.size, &parsed, why, sizeof why) ==
         ENCLAYER_INVALID_ARGUMENT);
  EXPECT(enclayer_collateral_new(bytes, ENCLAYER_MAX_QUOTE_SIZE + 1, collateral.bytes, collateral.size, &parsed, why,
                                 sizeof why) == ENCLAYER_INVALID_ARGUMENT);
  EXPECT(enclayer_collateral_new(bytes, quote.size, collateral.bytes, collateral.size, NULL, why, sizeof why) ==
         ENCLAYER_INVALID_ARGUMENT);
  EXPECT(parsed == NULL);

  enclayer_collateral_free(NULL);
  are_bytes(NULL, ENCLAYER_MR_ENCLAVE, "");
  EXPECT(enclayer_verdict_number(NULL, ENCLAYER_DEBUG, NULL) == 0);
  EXPECT(enclayer_verdict_text(NULL, ENCLAYER_TEE) == NULL);
  EXPECT(enclayer_verdict_advisory(NULL, 0) == NULL);
}

int main(int argc, char** argv) {
  content quote, collateral, root, certificate, td, td_collateral;
  if (argc != 2) return 1;
  quote = read_file(argv[1], "cases/C_eval17/quote.bin");
  collateral = read_file(argv[1], "cases/C_eval17/collateral.json");
  root = read_file(argv[1], "intel_root_2033.pem");
  certificate = read_file(argv[1], "../ratls/gramine-cert.pem");
  td = read_file(argv[1], "cases/T4_phala_tdx_v4/quote.bin");
  td_collateral = read_file(argv[1], "cases/T4_phala_tdx_v4/collateral.json");
  verdicts_are_those_of_the_library(quote, collateral, root);
  sizes_are_bounded(quote, collateral);
  misuse_is_refused(quote, collateral);
  evidence_is_taken_in_other_forms(quote, collateral, certificate);
  fields_are_those_of_the_json(quote, collateral, td, td_collateral);
  report_data_is_asked_for_with_each_quote(quote, collateral);
  collateral_that_is_none_says_why(quote, collateral);
  EXPECT(enclayer_version()[0] >= '0' && enclayer_version()[0] <= '9');
  EXPECT(strstr(enclayer_policy_schema(), "\"mr_enclave\"") != NULL);
  free(quote.bytes);
  free(collateral.bytes);
  free(root.bytes);
  free(certificate.bytes);
  free(td.bytes);
  free(td_collateral.bytes);
  return failures == 0 ? 0 : 1;
}
