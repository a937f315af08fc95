// SPDX-License-Identifier: Apache-2.0
// A service's answer: header lines, an empty line, a body. The body is read as each kind that there is; a signed object
// that is cut out of it is a part of it, and JSON.
#include <cstdlib>

#include "base/bytes.h"
#include "base/json.h"
#include "collateral/responses.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace enclayer;
  std::string_view text = base::as_text({data, size});
  std::size_t headers_end = text.find("\n\n");
  collateral::Response response;
  response.headers = text.substr(0, headers_end);
  std::string_view body = headers_end == std::string_view::npos ? "" : text.substr(headers_end + 2);
  response.body.assign(body.begin(), body.end());

  (void)collateral::crl_in_der(response.body);
  collateral::Responses responses{response, response, response, response};
  responses.pck_crl.body = responses.root_ca_crl.body = {0x30};
  auto read = collateral::collateral_from(responses);
  if (!read) return 0;
  for (const std::string& object : {read->tcb_info, read->qe_identity})
    if (body.find(object) == std::string_view::npos || !base::JsonDocument::parse(object)) std::abort();
  return 0;
}
