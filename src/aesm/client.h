// SPDX-License-Identifier: Apache-2.0
// The client's half of the AESM protocol: requests to bytes, replies from bytes. A reply comes from whoever sits behind
// the socket: it is checked for kind, error code and sizes before anything of it is believed.
#pragma once

#include <optional>

#include "aesm/att_key_id.h"
#include "enclayer/bytes.h"
#include "enclayer/error.h"
#include "quoting/quote_source.h"

namespace enclayer::aesm {

// The order in which Intel's client asks: init (size of the key id), init (target and key id), size, quote.
Bytes init_size_request();
Bytes init_request();
Bytes quote_size_request();
// buf_size is what quote_size_request() was answered.
Bytes quote_request(const sgx::Report& report, std::uint32_t buf_size,
                    const std::optional<quoting::QeReportRequest>& qe_report);

// A reply of another kind, without error code or with fields of a wrong size is kMalformed. A refusal has the kind of
// its code (codes.h) and a message with the code's name.
Result<std::uint64_t> read_init_size_reply(ByteView reply);
Result<quoting::QuoteTarget> read_init_reply(ByteView reply);
Result<std::uint32_t> read_quote_size_reply(ByteView reply);
// `with_qe_report`: one was asked for, so it has to be there. The quote is as long as it says itself: padding is cut
// off.
Result<quoting::QuoteReply> read_quote_reply(ByteView reply, bool with_qe_report);

}  // namespace enclayer::aesm
