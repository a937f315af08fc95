// SPDX-License-Identifier: Apache-2.0
// What the front end and a quote worker say to each other, over a SOCK_SEQPACKET socketpair: one message a packet, so
// that there are no partial reads and no lengths to believe. Numbers are little endian. The worker speaks first, then
// it answers one request after the other. Longest message: 32 KiB; a longer one, or one that is not exactly as below,
// ends the worker. Neither side trusts the other: a worker holds foreign libraries, and the front end feeds it what
// pods send.
//
//   worker > hello   loaded (1: yes, 0: no) | text: what was loaded, or one sentence that says what is missing
//   front  > request call (1 init, 2 size, 3 quote, 4 files) and for 3:
//                    report (432) | 0, or 1 | nonce (16) | target info of the asking enclave (512)
//   worker > reply   status u32 (quote3_error_t), then
//                      where status is not 0:  text: the cause, as far as the worker knows it; may be empty
//                      init:   the QE's target info (512) | public key id (32)
//                      size:   u32
//                      quote:  0, or 1 | the QE's report (432); then the quote: 436 + signature_data_len bytes, no more
//                      files:  their number u8 | each: size of its path u16 | path | number of SIGSTRUCTs u8 | each:
//                      MRENCLAVE (32) |
//                              ISVPRODID u16 | ISVSVN u16
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "enclayer/bytes.h"
#include "enclayer/error.h"
#include "quoting/dcap_status.h"
#include "quoting/quote_source.h"
#include "sgx/sigstruct.h"

namespace enclayer::quoting {

inline constexpr std::size_t kMostDcapMessage = std::size_t{32} * 1024;
inline constexpr std::size_t kMostDcapText = 1024;

// The longest quote that is accepted. With 32 bytes of authentication data and the 12,294 bytes of certificates that
// Intel's library takes at most a quote has 13,346.
inline constexpr std::size_t kMostQuote = std::size_t{16} * 1024;

struct DcapHello {
  bool loaded = false;
  std::string text;
};

struct DcapRequest {
  DcapCall call = DcapCall::kInit;
  sgx::Report report;                        // kQuote
  std::optional<QeReportRequest> qe_report;  // kQuote
};

// A library that is loaded, or an enclave that is there for it to load.
struct DcapFile {
  static constexpr std::size_t kMostPath = 512, kMostSigstructs = 4;

  std::string path;                        // without symbolic links; the first kMostPath bytes
  std::vector<sgx::Sigstruct> sigstructs;  // of an enclave

  bool operator==(const DcapFile&) const = default;
};
inline constexpr std::size_t kMostDcapFiles = 16;

struct DcapReply {
  std::uint32_t status = kDcapSuccess;
  std::string text;             // of a failure
  QuoteTarget target;           // kInit
  std::uint32_t size = 0;       // kSize
  QuoteReply quote;             // kQuote
  std::vector<DcapFile> files;  // kFiles
};

Bytes encode(const DcapHello& hello);
Bytes encode(const DcapRequest& request);
Bytes encode(const DcapReply& reply, DcapCall call);

// kMalformed for every byte that should not be there. Text comes out with everything but printable ASCII replaced by
// '?'.
Result<DcapHello> decode_dcap_hello(ByteView message);
Result<DcapRequest> decode_dcap_request(ByteView message);
Result<DcapReply> decode_dcap_reply(ByteView message, DcapCall call);

// 436 + signature_data_len of the quote that `buffer` begins with. kMalformed when that is more than the buffer has or
// less than a version 3 quote needs (1,052), or when the first bytes do not say "version 3, ECDSA P-256".
Result<std::size_t> length_of_quote(ByteView buffer);

}  // namespace enclayer::quoting
