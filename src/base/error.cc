// SPDX-License-Identifier: Apache-2.0
#include "base/error.h"

#include <cerrno>
#include <cstring>
#include <system_error>

namespace enclayer {

std::string_view to_string(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kInvalidArgument: return "invalid-argument";
    case ErrorKind::kNotFound: return "not-found";
    case ErrorKind::kPermissionDenied: return "permission-denied";
    case ErrorKind::kIo: return "io";
    case ErrorKind::kMalformed: return "malformed";
    case ErrorKind::kUnsupported: return "unsupported";
    case ErrorKind::kUnavailable: return "unavailable";
    case ErrorKind::kConflict: return "conflict";
    case ErrorKind::kTimedOut: return "timed-out";
    case ErrorKind::kExhausted: return "exhausted";
    case ErrorKind::kInternal: return "internal";
  }
  return "internal";
}

namespace base {

const ErrorAtBorder& at_border(ErrorKind kind) {
  // gRPC: 3 INVALID_ARGUMENT, 4 DEADLINE_EXCEEDED, 5 NOT_FOUND, 7 PERMISSION_DENIED, 8 RESOURCE_EXHAUSTED,
  // 9 FAILED_PRECONDITION, 12 UNIMPLEMENTED, 13 INTERNAL, 14 UNAVAILABLE.
  // AESM: 1 UNEXPECTED, 3 PARAMETER, 13 NETWORK_BUSY, 15 FILE_ACCESS, 18 BUSY, 30 SERVICE_UNAVAILABLE.
  static constexpr ErrorAtBorder kInvalidArgument{1, 3, 3}, kNotFound{3, 5, 30}, kPermissionDenied{3, 7, 30},
      kIo{3, 14, 15}, kMalformed{2, 3, 3}, kUnsupported{2, 12, 30}, kUnavailable{4, 14, 30}, kConflict{5, 9, 18},
      kTimedOut{4, 4, 13}, kExhausted{4, 8, 18}, kInternal{70, 13, 1};
  switch (kind) {
    case ErrorKind::kInvalidArgument: return kInvalidArgument;
    case ErrorKind::kNotFound: return kNotFound;
    case ErrorKind::kPermissionDenied: return kPermissionDenied;
    case ErrorKind::kIo: return kIo;
    case ErrorKind::kMalformed: return kMalformed;
    case ErrorKind::kUnsupported: return kUnsupported;
    case ErrorKind::kUnavailable: return kUnavailable;
    case ErrorKind::kConflict: return kConflict;
    case ErrorKind::kTimedOut: return kTimedOut;
    case ErrorKind::kExhausted: return kExhausted;
    case ErrorKind::kInternal: return kInternal;
  }
  return kInternal;
}

Error errno_error(int error_number, std::string_view what) {
  ErrorKind kind = ErrorKind::kIo;
  switch (error_number) {
    case ENOENT:
    case ENOTDIR:
    case ENODEV:
    case ENXIO: kind = ErrorKind::kNotFound; break;
    case EACCES:
    case EPERM:
    case EROFS: kind = ErrorKind::kPermissionDenied; break;
    case ECONNREFUSED: kind = ErrorKind::kUnavailable; break;
    case EADDRINUSE:
    case EEXIST:
    case EBUSY: kind = ErrorKind::kConflict; break;
    case ETIMEDOUT: kind = ErrorKind::kTimedOut; break;
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case ENOSPC:
    case EDQUOT: kind = ErrorKind::kExhausted; break;
    case EINVAL:
    case ENAMETOOLONG: kind = ErrorKind::kInvalidArgument; break;
    default: break;
  }
  return {kind, std::string(what) + ": " + std::generic_category().message(error_number)};
}

}  // namespace base
}  // namespace enclayer
