// SPDX-License-Identifier: Apache-2.0
/* enclayer for other languages: verifies quotes of SGX and TDX, offline. C99; libenclayer.so exports these functions and nothing
 * else.
 *
 *   enclayer_verifier* verifier = NULL;
 *   enclayer_verdict* verdict = NULL;
 *   char why[256];
 *   if (enclayer_verifier_new(NULL, 0, policy, policy_size, &verifier, why, sizeof why) != 0) fail(why);
 *   if (enclayer_verify(verifier, quote, quote_size, collateral, collateral_size, time(NULL), &verdict) == 0)
 *     puts("trusted");
 *   puts(enclayer_verdict_json(verdict));
 *   enclayer_verdict_free(verdict);
 *   enclayer_verifier_free(verifier);
 *
 * 0 means success everywhere, and of enclayer_verify() success means TRUSTED, nothing less: a caller that only tests
 * for 0 cannot take an untrusted quote for a trusted one.
 *
 * Sizes are in bytes; texts are UTF-8, need no NUL at their end and are not kept after the call. No function throws,
 * reads a clock, or opens a file or a connection (OpenSSL reads its own configuration when it is first used).
 *
 * Threads: a verifier may be used by any number of threads at once; a verdict never changes once it is there. Freeing
 * is for when nobody else uses the object any more.
 *
 * The library's soname (libenclayer.so.0) holds the version of this interface; within one, functions, fields and codes
 * are added, never changed or taken away. Each function carries the version that it came with (ENCLAYER_0, ENCLAYER_0.2),
 * so that a program that needs a newer library is told so when it starts.
 */
#ifndef ENCLAYER_ENCLAYER_H
#define ENCLAYER_ENCLAYER_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What a function returns: the numbers of the exit codes of `enclayer verify`, as far as they go. */
enum {
  ENCLAYER_OK = 0,               /* done; of enclayer_verify(): the quote is trusted */
  ENCLAYER_INVALID_ARGUMENT = 1, /* a pointer that must not be NULL is, or a root certificate or policy is no good */
  ENCLAYER_UNTRUSTED = 2,        /* there is a verdict, and it says no */
  ENCLAYER_OUT_OF_MEMORY = 3,
  ENCLAYER_INTERNAL = 70 /* our own mistake; as bad as untrusted */
};

/* The most that is read, in bytes. More of a quote or of collateral is untrusted, more of a root or a policy is
 * ENCLAYER_INVALID_ARGUMENT. */
#define ENCLAYER_MAX_QUOTE_SIZE 1048576      /* real ones have about 5 KB; other evidence likewise */
#define ENCLAYER_MAX_COLLATERAL_SIZE 1048576 /* real ones have 14 to 23 KB */
#define ENCLAYER_MAX_POLICY_SIZE 65536
#define ENCLAYER_MAX_ROOT_SIZE 65536

/* Whom to trust and what to accept. One for the whole program: it remembers, in up to 8 MiB, what it has parsed and
 * which signatures it has checked, and the collateral that it was given last (text and parsed, 2 MiB at most), and so
 * judges the next quote of the same platform sooner. It remembers no verdict: time, revocation, root and policy are
 * looked at anew for every quote (include/enclayer/verifier.h). */
typedef struct enclayer_verifier enclayer_verifier;

/* What became of one quote. */
typedef struct enclayer_verdict enclayer_verdict;

/* Collateral, parsed: for those who judge many quotes by the same. Nothing in it is believed. */
typedef struct enclayer_collateral enclayer_collateral;

/* The version of the library, "0.2.0". */
const char* enclayer_version(void);

/* The JSON Schema of policies, with a NUL at its end. */
const char* enclayer_policy_schema(void);

/* Makes a verifier.
 *   root_pem  the root to trust instead of Intel's, one PEM certificate; NULL and 0: Intel SGX Root CA
 *   policy    a policy file's content (docs/policy.md); NULL and 0: UpToDate, no debug enclave or TD, no simulated
 *             platform
 *   why       NULL, or room for `why_size` bytes: what is wrong, for people, with a NUL at its end, cut where it is
 *             too long; empty when nothing is
 * ENCLAYER_OK, ENCLAYER_INVALID_ARGUMENT or ENCLAYER_OUT_OF_MEMORY; *verifier is NULL unless ENCLAYER_OK. */
int enclayer_verifier_new(const char* root_pem, size_t root_pem_size, const char* policy, size_t policy_size,
                          enclayer_verifier** verifier, char* why, size_t why_size);

/* NULL is allowed. */
void enclayer_verifier_free(enclayer_verifier* verifier);

/* Verifies a quote and judges it.
 *   quote       as it came from the platform; may be empty (that is untrusted)
 *   collateral  JSON, nine strings (include/enclayer/collateral.h, docs/verify.md)
 *   at          the time of the judgement, in seconds since 1970-01-01T00:00:00Z, 0 to 253402300799 (year 9999)
 *   verdict     where the verdict goes; NULL: only the return value is wanted
 * ENCLAYER_OK: trusted. ENCLAYER_UNTRUSTED: not, also when quote or collateral cannot be parsed. In both cases there is
 * a verdict, to be freed. Anything else: there is none, and *verdict is NULL. */
int enclayer_verify(enclayer_verifier* verifier, const uint8_t* quote, size_t quote_size, const char* collateral,
                    size_t collateral_size, int64_t at, enclayer_verdict** verdict);

/* The same of evidence in any form that people have it (include/enclayer/evidence.h): bytes, hexadecimal digits, base64,
 * base64url, PEM, JSON, an RA-TLS certificate, which is then judged as by enclayer_verify_ra_tls(). What is none of these
 * is untrusted, with the reason UNSUPPORTED_QUOTE_FORMAT and words for it in the verdict's JSON. */
int enclayer_verify_evidence(enclayer_verifier* verifier, const uint8_t* evidence, size_t evidence_size,
                             const char* collateral, size_t collateral_size, int64_t at, enclayer_verdict** verdict);

/* Verifies the certificate that a TLS peer showed, of Gramine, Intel's SDK, rats-tls, Open Enclave or EGo, and judges it
 * (include/enclayer/ra_tls.h): genuine is its quote, and bound to the certificate's key. Nothing but a certificate is
 * taken. The TLS library has to have seen that the peer has the key.
 *   certificate  DER or PEM
 *   collateral   as above; NULL and 0: that which the certificate carries
 * Returns as enclayer_verify() does. */
int enclayer_verify_ra_tls(enclayer_verifier* verifier, const uint8_t* certificate, size_t certificate_size,
                           const char* collateral, size_t collateral_size, int64_t at, enclayer_verdict** verdict);

/* Parses collateral, once for any number of quotes; it never changes, and any number of threads may use it.
 *   quote  one of the platform, as bytes; needed for collateral of many platforms (PcsClientTool's) only, otherwise NULL
 *          and 0
 *   json   as `collateral` above
 *   why    as for enclayer_verifier_new()
 * ENCLAYER_OK, ENCLAYER_INVALID_ARGUMENT or ENCLAYER_OUT_OF_MEMORY; *collateral is NULL unless ENCLAYER_OK. */
int enclayer_collateral_new(const uint8_t* quote, size_t quote_size, const char* json, size_t json_size,
                            enclayer_collateral** collateral, char* why, size_t why_size);

/* NULL is allowed. */
void enclayer_collateral_free(enclayer_collateral* collateral);

/* What the bytes given to enclayer_check() are. */
enum {
  ENCLAYER_QUOTE = 0,    /* a quote as it came from the platform, as enclayer_verify() takes it */
  ENCLAYER_EVIDENCE = 1, /* a quote or an RA-TLS certificate in any form, as enclayer_verify_evidence() takes them */
  ENCLAYER_RA_TLS = 2    /* an RA-TLS certificate and nothing else, as enclayer_verify_ra_tls() takes it */
};

/* The same with parsed collateral, and with what this one quote has to say beside all that the policy asks for: its report
 * data, a nonce or the hash of a key.
 *   evidence     see `kind`
 *   collateral   NULL: that which an RA-TLS certificate carries
 *   report_data  64 bytes; NULL: the policy's rule alone counts
 *   mask         64 bytes: of the bits that are set here report data has to be equal; NULL: of all. For the first 32 bytes
 *                alone 32 times 0xff and 32 zeros. NULL where report_data is
 * Returns as enclayer_verify() does; ENCLAYER_INVALID_ARGUMENT for another kind. */
int enclayer_check(enclayer_verifier* verifier, int kind, const uint8_t* evidence, size_t evidence_size,
                   const enclayer_collateral* collateral, const uint8_t* report_data, const uint8_t* mask, int64_t at,
                   enclayer_verdict** verdict);

/* NULL is allowed. */
void enclayer_verdict_free(enclayer_verdict* verdict);

/* The functions below also take NULL, as a verdict that is untrusted and says nothing more. What they return stays
 * valid until the verdict is freed. */

/* 1: trusted. 0: not. */
int enclayer_verdict_trusted(const enclayer_verdict* verdict);

/* "OK", "SGX_CRL_EXPIRED", "MRENCLAVE_NOT_ACCEPTED": the first of what stands against the quote (docs/verification.md
 * lists them); of a trusted one its status by that name. "UNKNOWN" of NULL. */
const char* enclayer_verdict_reason(const enclayer_verdict* verdict);

/* "UpToDate", as TCB Info spells it; NULL when the quote did not verify. */
const char* enclayer_verdict_tcb_status(const enclayer_verdict* verdict);

/* 1: the platform says SIMULATED, which proves nothing. 0: it does not. */
int enclayer_verdict_simulated(const enclayer_verdict* verdict);

/* The last second at which this quote with this collateral still verifies, since 1970; -1 when it is not known. A
 * verdict is not to be kept for longer. */
int64_t enclayer_verdict_expires(const enclayer_verdict* verdict);

/* All of it as a JSON object (docs/verify-output.md), with a NUL at its end; NULL of NULL, and where there is no memory for
 * it. It is written when it is asked for, so that who wants none does not wait for it. */
const char* enclayer_verdict_json(const enclayer_verdict* verdict);

/* One by one, what stands in that JSON under the same names. Of a quote that did not verify there is nothing of it but
 * the platform's facts: what it claims is not worth repeating. Numbers of fields do not change; others may come. */

/* Bytes, their number in *size, which may be NULL; NULL and 0 where there are none, or no such field. */
enum {
  /* of an enclave */
  ENCLAYER_MR_ENCLAVE = 1, /* 32 */
  ENCLAYER_MR_SIGNER = 2,  /* 32 */
  /* of a TD; each has 48 */
  ENCLAYER_MR_TD = 3,
  ENCLAYER_RTMR0 = 4,
  ENCLAYER_RTMR1 = 5,
  ENCLAYER_RTMR2 = 6,
  ENCLAYER_RTMR3 = 7,
  ENCLAYER_MR_CONFIG_ID = 8,
  ENCLAYER_MR_OWNER = 9,
  ENCLAYER_MR_OWNER_CONFIG = 10,
  ENCLAYER_MR_SERVICE_TD = 11, /* TDX 1.5; zeros: none */
  ENCLAYER_MR_SEAM = 12,
  /* of both */
  ENCLAYER_REPORT_DATA = 13, /* 64 */
  /* of the platform */
  ENCLAYER_FMSPC = 14,                /* 6 */
  ENCLAYER_PCE_ID = 15,               /* 2 */
  ENCLAYER_PPID = 16,                 /* 16: names one machine */
  ENCLAYER_PLATFORM_INSTANCE_ID = 17, /* 16, of those with several packages */
  /* of an RA-TLS certificate */
  ENCLAYER_ATTESTED_KEY = 18, /* 32: SHA-256 of the SubjectPublicKeyInfo that the quote is bound to */
  ENCLAYER_NONCE = 19         /* any number: what the certificate was made for */
};
const uint8_t* enclayer_verdict_bytes(const enclayer_verdict* verdict, int field, size_t* size);

/* A number in *value, and 1; 0, and *value as it was, where there is none, or no such field. */
enum {
  ENCLAYER_ISV_PROD_ID = 1,                /* of an enclave */
  ENCLAYER_ISV_SVN = 2,                    /* likewise */
  ENCLAYER_DEBUG = 3,                      /* 1: its host can read it */
  ENCLAYER_TD_ATTRIBUTES = 4,              /* of a TD, as the TDX module has them */
  ENCLAYER_XFAM = 5,                       /* likewise */
  ENCLAYER_TCB_DATE = 6,                   /* of the platform's TCB level, in seconds since 1970 */
  ENCLAYER_TCB_EVALUATION_DATA_NUMBER = 7, /* the lower one of TCB Info's and QE Identity's */
  ENCLAYER_COLLATERAL_ISSUED = 8,          /* when the oldest part of the collateral was, in seconds since 1970 */
  ENCLAYER_LACKING_SINCE = 9               /* date of the oldest TCB level that the platform lacks, likewise */
};
int enclayer_verdict_number(const enclayer_verdict* verdict, int field, uint64_t* value);

/* A text with a NUL at its end; NULL where there is none, or no such field. */
enum {
  ENCLAYER_DETAIL = 1,                /* for people: what the verification found */
  ENCLAYER_TEE = 2,                   /* "SGX", "TDX" */
  ENCLAYER_PLATFORM_TCB_STATUS = 3,   /* of the platform alone; of a TD as it was launched, and so are the next two */
  ENCLAYER_TDX_MODULE_TCB_STATUS = 4, /* of modules of major version 1 or more */
  ENCLAYER_QE_TCB_STATUS = 5,
  ENCLAYER_CURRENT_TCB_STATUS = 6 /* of a TD of TDX 1.5: all together, with the TDX module that runs now */
};
const char* enclayer_verdict_text(const enclayer_verdict* verdict, int field);

/* The advisories of the TCB levels, "INTEL-SA-00615", from index 0 on; NULL after the last. */
const char* enclayer_verdict_advisory(const enclayer_verdict* verdict, size_t index);

#ifdef __cplusplus
}
#endif

#endif
