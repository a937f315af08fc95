// SPDX-License-Identifier: Apache-2.0
#include "helper/facts_file.h"

#include "base/bytes.h"
#include "base/file.h"
#include "base/log.h"

namespace enclayer::helper {
namespace {

constexpr std::size_t kMostFacts = 64 << 10;

std::filesystem::path path_of(const std::filesystem::path& state_dir) { return state_dir / "facts.json"; }

}  // namespace

FactsFile::FactsFile(const std::filesystem::path& state_dir, quoting::FactsAbout about, base::Metrics& metrics)
    : path_(path_of(state_dir)), about_(std::move(about)), metrics_(metrics) {}

void FactsFile::keep(const quoting::SourceFacts& facts, bool serves) {
  if (!shown_ || *shown_ != facts) quoting::show_source_info(facts, metrics_);
  shown_ = facts;
  if (!serves) written_.reset();  // another instance may write
  if (!serves || written_ == facts) return;
  written_ = facts;
  auto done = base::write_file_atomic(path_, base::as_bytes(quoting::to_json(facts, about_)), 0644);
  if (!done) base::log::warn("what --facts prints is not brought up to date", {{"reason", done.error().message()}});
}

Result<std::string> FactsFile::read(const std::filesystem::path& state_dir) {
  auto text = base::read_text(path_of(state_dir), kMostFacts);
  if (!text && text.error().kind() == ErrorKind::kNotFound)
    return Error(ErrorKind::kNotFound,
                 path_of(state_dir).string() + " is not there: no helper has served yet with this --state-dir");
  return text;
}

}  // namespace enclayer::helper
