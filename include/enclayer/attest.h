// SPDX-License-Identifier: Apache-2.0
/* The pod's side of the attestation service (docs/attestation-service.md): a token, or a secret, for the enclave or TD that
 * asks. C99; libenclayer_attest.so exports these two functions and nothing else.
 *
 *   static int make_quote(void* context, const uint8_t report_data[64], uint8_t* quote, size_t* size);
 *
 *   enclayer_attest_service service = {.struct_size = sizeof service,
 *                                      .url = "https://attest.example",
 *                                      .authorities = ca_pem,
 *                                      .make_quote = make_quote};
 *   uint8_t secret[ENCLAYER_ATTEST_MAX_SECRET];
 *   size_t size = sizeof secret;
 *   char why[256];
 *   if (enclayer_attest_secret(&service, "db-password", secret, &size, why, sizeof why) != ENCLAYER_ATTEST_OK) fail(why);
 *
 * A key of this process stands in the evidence, and the secret comes encrypted to that key: what leads to the service, its
 * TLS included, sees nothing of it. The secret lies in the caller's memory alone, who wipes it.
 *
 * Texts are UTF-8 with a NUL at their end and are not kept after the call. No function throws, reads a clock that people
 * set, an environment variable or a file (OpenSSL reads its own configuration when it is first used). Any number of threads
 * may call; each call makes connections of its own and ends them, and waits, where it has to, in the caller's thread.
 */
#ifndef ENCLAYER_ATTEST_H
#define ENCLAYER_ATTEST_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What a function returns; 0 to 4 are the exit codes of `enclayer attest request`. */
enum {
  ENCLAYER_ATTEST_OK = 0,
  ENCLAYER_ATTEST_INVALID_ARGUMENT = 1, /* of this call, or the service takes no such request */
  ENCLAYER_ATTEST_MALFORMED = 2,        /* what answers is no attestation service, or PEM that was given is none */
  ENCLAYER_ATTEST_REFUSED = 3,          /* the service accepts no such evidence, caller or audience */
  ENCLAYER_ATTEST_UNAVAILABLE = 4,      /* nobody answers, or not in time; worth another try */
  ENCLAYER_ATTEST_NO_QUOTE = 5,         /* make_quote() failed */
  ENCLAYER_ATTEST_NO_ROOM = 6,          /* there is more than the caller has room for; how much is in *size */
  ENCLAYER_ATTEST_OUT_OF_MEMORY = 7,
  ENCLAYER_ATTEST_INTERNAL = 70 /* our own mistake */
};

#define ENCLAYER_ATTEST_MAX_QUOTE 65536  /* bytes, of those that the service takes */
#define ENCLAYER_ATTEST_MAX_SECRET 65536 /* bytes, of those that it gives out */
#define ENCLAYER_ATTEST_MAX_TOKEN 65536  /* bytes, with the NUL; real ones have 2 to 4 KB */

/* Makes the quote of this enclave or TD with that report data: of Gramine by /dev/attestation, of the Intel SGX SDK by
 * sgx_get_quote_ex(), of a TD by configfs-tsm. *size is the room in `quote`, ENCLAYER_ATTEST_MAX_QUOTE, and becomes the
 * quote's size. 0: done; anything else: it cannot be had, which ends the call. Called once, in the caller's thread. */
typedef int (*enclayer_make_quote)(void* context, const uint8_t report_data[64], uint8_t* quote, size_t* size);

/* The service, and how it is asked. What is 0 or NULL is not given. */
typedef struct {
  size_t struct_size;       /* sizeof(enclayer_attest_service): members may be added at the end */
  const char* url;          /* "https://attest.example" */
  const char* authorities;  /* PEM: those that the service's certificate may be of; needed for https */
  const char* certificate;  /* PEM: proves to the service who asks, with what leads up to its root ... */
  const char* key;          /* ... and its private key, without a passphrase */
  const char* bearer_token; /* of a ServiceAccount, which says to the service who asks; for secrets */
  const char* proxy;        /* [http://][USER:PASSWORD@]HOST[:PORT], that leads to the service */
  unsigned timeout_seconds; /* for all of it but the quote; 0: 15 */
  enclayer_make_quote make_quote;
  void* context; /* handed to it */
} enclayer_attest_service;

/* A token for that audience, with the service's nonce: an attestation result (EAR) as JWT. It is for somebody else and is
 * not verified here.
 *   key_jwk  a public key of the caller's as JWK (RFC 7517), which the token names in `cnf`: who takes the token can ask for
 *            a proof of it. NULL: it names a key that nobody has, and is good for whoever holds it
 *   token    room for *size bytes; becomes the token with a NUL at its end, and *size its length without
 *   why      NULL, or room for `why_size` bytes: what is wrong, for people, with a NUL at its end, cut where it is too long;
 *            empty when nothing is */
int enclayer_attest_token(const enclayer_attest_service* service, const char* audience, const char* key_jwk,
                          char* token, size_t* size, char* why, size_t why_size);

/* The secret of that name (letters, digits, '-', '_' and '.').
 *   secret   room for *size bytes; becomes the secret, and *size its size, 1 at least */
int enclayer_attest_secret(const enclayer_attest_service* service, const char* name, uint8_t* secret, size_t* size,
                           char* why, size_t why_size);

#ifdef __cplusplus
}
#endif

#endif
