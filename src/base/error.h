// SPDX-License-Identifier: Apache-2.0
// The one table that says what an error kind becomes at each of our borders.
#pragma once

#include <cstdint>

#include "enclayer/error.h"

namespace enclayer::base {

struct ErrorAtBorder {
  int exit_code;    // 1 misuse, 2 what was read is not acceptable, 3 not readable, 4 something needed is missing,
                    // 5 somebody else holds it, 70 our own mistake
  int grpc_status;  // grpc::StatusCode
  std::uint32_t aesm_code;  // AESM error codes, aesm_error.h of the SGX PSW
};

const ErrorAtBorder& at_border(ErrorKind kind);

inline int exit_code(const Error& error) { return at_border(error.kind()).exit_code; }

// "<doing> <object>: <errno text>", with the kind that the errno stands for.
Error errno_error(int error_number, std::string_view what);

}  // namespace enclayer::base
