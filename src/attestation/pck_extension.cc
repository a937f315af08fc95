// SPDX-License-Identifier: Apache-2.0
#include "attestation/pck_extension.h"

#include <algorithm>
#include <string>

#include "attestation/der.h"
#include "base/bytes.h"
#include "base/hex.h"
#include "base/malformed.h"

namespace enclayer::attestation {
namespace {

// 1.2.840.113741.1.13.1; what follows names the item.
constexpr std::uint8_t kArc[] = {0x2a, 0x86, 0x48, 0x86, 0xf8, 0x4d, 0x01, 0x0d, 0x01};

constexpr base::Malformed bad_extension{"SGX extension: "};

struct Item {
  std::uint8_t number = 0;  // the OID's last arc
  DerElement value;
};

// SEQUENCE { OID kArc.`parents`.number, value }, and `number` not seen before.
Result<Item> next_item(DerReader& items, ByteView parents, std::uint32_t& seen) {
  auto pair = items.next(DerReader::kSequence);
  if (!pair) return bad_extension("an item is not a sequence of an object identifier and a value");
  DerReader parts(*pair);
  auto oid = parts.next(DerReader::kOid);
  auto value = parts.next();
  if (!oid || !value || !parts.done())
    return bad_extension("an item is not a sequence of an object identifier and a value");
  if (oid->size() != sizeof kArc + parents.size() + 1 || !std::equal(std::begin(kArc), std::end(kArc), oid->begin()) ||
      !std::equal(parents.begin(), parents.end(), oid->begin() + sizeof kArc))
    return bad_extension("an item has an object identifier that does not belong there");
  std::uint8_t number = oid->back();
  if (number == 0 || number > 18) return bad_extension("an item has the unknown number " + std::to_string(number));
  if ((seen >> number & 1) != 0) return bad_extension("item " + std::to_string(number) + " is there twice");
  seen |= 1U << number;
  return Item{number, *value};
}

template <std::size_t N>
Result<ByteArray<N>> octets(const Item& item, const char* name) {
  if (item.value.tag != DerReader::kOctetString || item.value.content.size() != N)
    return bad_extension(std::string(name) + " is not an octet string of " + std::to_string(N) + " bytes");
  return base::array_at<N>(item.value.content, 0);
}

Result<> read_tcb(const Item& tcb, PckExtension& out) {
  if (tcb.value.tag != DerReader::kSequence) return bad_extension("the TCB is not a sequence");
  DerReader items(tcb.value.content);
  std::uint32_t seen = 0;
  const std::uint8_t parents[] = {2};
  while (!items.done()) {
    ENCLAYER_TRY(Item item, next_item(items, parents, seen));
    if (item.number == 18) {
      ENCLAYER_TRY(out.cpu_svn, octets<16>(item, "CPUSVN"));
      continue;
    }
    auto svn = DerReader::number(item.value, DerReader::kInteger, item.number == 17 ? 0xffff : 0xff);
    if (!svn) return bad_extension("TCB item " + std::to_string(item.number) + " is not an SVN");
    if (item.number == 17) {
      out.tcb.pce_svn = static_cast<std::uint16_t>(*svn);
    } else {
      out.tcb.components[item.number - 1U] = static_cast<std::uint8_t>(*svn);
    }
  }
  if (seen != 0x7fffe) return bad_extension("the TCB does not have all of its 18 items");
  return {};
}

Result<> read_configuration(const Item& configuration, PckExtension& out) {
  if (configuration.value.tag != DerReader::kSequence) return bad_extension("the configuration is not a sequence");
  DerReader items(configuration.value.content);
  std::uint32_t seen = 0;
  const std::uint8_t parents[] = {7};
  while (!items.done()) {
    ENCLAYER_TRY(Item item, next_item(items, parents, seen));
    ByteView content = item.value.content;
    if (item.number > 3 || item.value.tag != DerReader::kBoolean || content.size() != 1 ||
        (content[0] != 0 && content[0] != 0xff))
      return bad_extension("configuration item " + std::to_string(item.number) + " is unknown or not a boolean");
    (item.number == 1 ? out.dynamic_platform : item.number == 2 ? out.cached_keys : out.smt_enabled) = content[0] != 0;
  }
  return {};
}

}  // namespace

Result<PckExtension> parse_pck_extension(ByteView content) {
  DerReader outer(content);
  auto sequence = outer.next(DerReader::kSequence);
  if (!sequence || !outer.done()) return bad_extension("it is not one sequence");
  PckExtension out;
  DerReader items(*sequence);
  std::uint32_t seen = 0;
  while (!items.done()) {
    ENCLAYER_TRY(Item item, next_item(items, {}, seen));
    switch (item.number) {
      case 1: {
        ENCLAYER_TRY(out.ppid, octets<16>(item, "PPID"));
        break;
      }
      case 2: ENCLAYER_CHECK(read_tcb(item, out)); break;
      case 3: {
        ENCLAYER_TRY(out.pce_id, octets<2>(item, "PCEID"));
        break;
      }
      case 4: {
        ENCLAYER_TRY(out.fmspc, octets<6>(item, "FMSPC"));
        break;
      }
      case 5: {
        auto type = DerReader::number(item.value, DerReader::kEnumerated, 2);
        if (!type) return bad_extension("the SGX type is not 0, 1 or 2");
        out.sgx_type = static_cast<std::uint8_t>(*type);
        break;
      }
      case 6: {
        ENCLAYER_TRY(out.platform_instance_id, octets<16>(item, "platform instance ID"));
        break;
      }
      case 7: ENCLAYER_CHECK(read_configuration(item, out)); break;
      default: return bad_extension("item " + std::to_string(item.number) + " is unknown");
    }
  }
  if (seen != 0x3e && seen != 0xfe) return bad_extension("it has neither the five nor the seven items of the profile");
  return out;
}

std::string to_string(const PlatformTcb& tcb) {
  const std::uint8_t pce_svn[] = {static_cast<std::uint8_t>(tcb.pce_svn), static_cast<std::uint8_t>(tcb.pce_svn >> 8)};
  return base::to_hex(tcb.components) + base::to_hex(pce_svn);
}

std::optional<PlatformTcb> platform_tcb_from(std::string_view digits) {
  PlatformTcb tcb;
  const auto bytes = base::from_hex(digits);
  if (!bytes || bytes->size() != tcb.components.size() + 2) return std::nullopt;
  std::copy_n(bytes->begin(), tcb.components.size(), tcb.components.begin());
  tcb.pce_svn = static_cast<std::uint16_t>((*bytes)[16] | (*bytes)[17] << 8);
  return tcb;
}

}  // namespace enclayer::attestation
