// SPDX-License-Identifier: Apache-2.0
#include "addon/archive.h"

#include <zlib.h>

#include <array>
#include <cstdio>
#include <numeric>

namespace enclayer::addon {
namespace {

constexpr std::size_t kBlock = 512, kLongestName = 100, kLongestPrefix = 155;
constexpr int kGzip = 16;  // zlib.h, deflateInit2(): added to windowBits

// Where each field is: POSIX.1-1988, 10.1.1.
Result<std::string> header(const std::string& path, std::size_t size, Time time) {
  const std::size_t slash = path.rfind('/');
  const std::string prefix = path.substr(0, slash), name = path.substr(slash + 1);
  if (name.size() > kLongestName || prefix.size() > kLongestPrefix)
    return Error(ErrorKind::kInvalidArgument, path + " is too long a name for an archive");
  std::string out(kBlock, '\0');
  auto put = [&out](std::size_t at, std::string_view text) { out.replace(at, text.size(), text); };
  auto octal = [](unsigned long long number) {
    std::array<char, 24> text{};
    std::snprintf(text.data(), text.size(), "%011llo", number);
    return std::string(text.data());
  };
  put(0, name);
  put(100, "0000600");
  put(108, "0000000");
  put(116, "0000000");
  put(124, octal(size));
  put(136, octal(static_cast<unsigned long long>(time.time_since_epoch().count())));
  put(148, "        ");  // the checksum, as it counts for itself
  put(156, "0");
  put(257, "ustar");
  put(263, "00");
  put(345, prefix);
  const unsigned sum = std::accumulate(out.begin(), out.end(), 0U,
                                       [](unsigned all, char c) { return all + static_cast<unsigned char>(c); });
  std::array<char, 8> text{};
  std::snprintf(text.data(), text.size(), "%06o", sum);
  put(148, std::string_view(text.data(), 7));
  return out;
}

Result<std::string> gzip(std::string& bytes) {
  z_stream stream{};
  if (deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, MAX_WBITS + kGzip, MAX_MEM_LEVEL, Z_DEFAULT_STRATEGY) !=
      Z_OK)
    return Error(ErrorKind::kExhausted, "no memory to compress the archive");
  std::string out(deflateBound(&stream, bytes.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(bytes.data());
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  const int done = deflate(&stream, Z_FINISH);
  out.resize(out.size() - stream.avail_out);
  deflateEnd(&stream);
  if (done != Z_STREAM_END) return Error(ErrorKind::kIo, "the archive cannot be compressed");
  return out;
}

}  // namespace

Result<std::string> tar_gz(std::string_view folder, const std::vector<ArchiveFile>& files, Time time) {
  std::string tar;
  for (const ArchiveFile& file : files) {
    ENCLAYER_TRY(const std::string head, header(std::string(folder) + "/" + file.name, file.bytes.size(), time));
    tar += head + file.bytes;
    tar.append((kBlock - file.bytes.size() % kBlock) % kBlock, '\0');
  }
  tar.append(2 * kBlock, '\0');
  return gzip(tar);
}

}  // namespace enclayer::addon
