// SPDX-License-Identifier: Apache-2.0
// What can fail returns Result<T>. An Error is a kind, for programs, and a message, for people: it names the object,
// both values and, where there is one, the remedy. A quote that does not verify is not an Error: it is a verdict
// (verify.h).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <type_traits>
#include <utility>

namespace enclayer {

enum class ErrorKind {
  kInvalidArgument,   // the caller asked for something that makes no sense
  kNotFound,          // a file, socket or device is not there
  kPermissionDenied,  // it is there, but not for us
  kIo,                // reading, writing or talking failed
  kMalformed,         // bytes that came from outside break their format
  kUnsupported,       // well-formed, but not something this version does
  kUnavailable,       // a part that is needed does not answer or is missing (SGX, the kubelet, the AESM service)
  kConflict,          // somebody else holds it
  kTimedOut,          // a deadline passed
  kExhausted,         // a limit was reached
  kInternal,          // our own mistake
};

// The kind as a stable word: "not-found", "malformed", ...
std::string_view to_string(ErrorKind kind);

class Error {
 public:
  Error(ErrorKind kind, std::string message, std::uint32_t code = 0)
      : kind_(kind), message_(std::move(message)), code_(code) {}

  ErrorKind kind() const { return kind_; }
  const std::string& message() const { return message_; }

  // Where a protocol tells errors apart more finely than the kinds do: its own number for this one (an AESM error
  // code); 0: the kind says it all.
  std::uint32_t code() const { return code_; }

  // The same error, told from one level further up: "<context>: <message>".
  Error with_context(std::string_view context) const { return {kind_, std::string(context) + ": " + message_, code_}; }

 private:
  ErrorKind kind_;
  std::string message_;
  std::uint32_t code_;
};

template <class T = void>
class [[nodiscard]] Result : public tl::expected<T, Error> {
 public:
  using tl::expected<T, Error>::expected;
  Result(Error error) : tl::expected<T, Error>(tl::unexpected<Error>(std::move(error))) {}  // NOLINT: meant to convert
};

}  // namespace enclayer

// Leaves the function with the error of `expression`, or gives its value a name.
#define ENCLAYER_CONCAT_(a, b) a##b
#define ENCLAYER_CONCAT(a, b) ENCLAYER_CONCAT_(a, b)
#define ENCLAYER_TRY_(temporary, declaration, expression) \
  auto temporary = (expression);                          \
  if (!temporary) return std::move(temporary).error();    \
  declaration = std::move(*temporary)
#define ENCLAYER_TRY(declaration, expression) \
  ENCLAYER_TRY_(ENCLAYER_CONCAT(enclayer_try_, __LINE__), declaration, expression)
#define ENCLAYER_CHECK_(temporary, expression) \
  if (auto temporary = (expression); !temporary) return std::move(temporary).error()
#define ENCLAYER_CHECK(expression) ENCLAYER_CHECK_(ENCLAYER_CONCAT(enclayer_check_, __LINE__), expression)
