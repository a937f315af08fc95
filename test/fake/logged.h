// SPDX-License-Identifier: Apache-2.0
// What is logged meanwhile.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "base/log.h"

namespace enclayer::fake {

template <class Done>
std::string logged(Done done) {
  auto begin_anew = [] { base::log::setup(base::log::Level::kInfo, base::log::Format::kText); };
  testing::internal::CaptureStderr();
  begin_anew();  // the log opens standard error once
  done();
  std::string text = testing::internal::GetCapturedStderr();
  begin_anew();
  return text;
}

}  // namespace enclayer::fake
