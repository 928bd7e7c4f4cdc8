#include "replication/internal/device.h"

#include "format/coding.h"

namespace tidemark {
namespace {

constexpr uint8_t kDescriptorVersion = 1;
constexpr uint64_t kForgotten = 1;
constexpr uint64_t kEverything = 2;
constexpr uint64_t kSelectedMax = 4096;

}  // namespace

std::string EncodeDescriptor(const DeviceDescriptor& descriptor) {
  std::string out(1, static_cast<char>(kDescriptorVersion));
  AppendBytes(&out, descriptor.id);
  AppendVarint(&out, descriptor.number);
  AppendVarint(&out, descriptor.epoch);
  AppendVarint(&out,
               (descriptor.forgotten ? kForgotten : 0) | (descriptor.everything ? kEverything : 0));
  AppendVarint(&out, descriptor.selected.size());
  for (const std::string& name : descriptor.selected) AppendBytes(&out, name);
  AppendBytes(&out, descriptor.incarnation);
  AppendVarint(&out, descriptor.acked_session);
  AppendVarint(&out, descriptor.acked_page);
  return out;
}

Result<DeviceDescriptor> DecodeDescriptor(std::string_view bytes) {
  ByteReader reader(bytes);
  if (reader.Byte() != kDescriptorVersion) {
    return {ErrorCode::kNewerFormat, "a device's descriptor has an unknown version"};
  }
  DeviceDescriptor descriptor;
  descriptor.id = reader.Bytes();
  descriptor.number = static_cast<uint32_t>(reader.Varint());
  descriptor.epoch = reader.Varint();
  const uint64_t flags = reader.Varint();
  descriptor.forgotten = (flags & kForgotten) != 0;
  descriptor.everything = (flags & kEverything) != 0;
  const uint64_t selected = reader.Varint();
  if (selected > kSelectedMax) {
    return {ErrorCode::kCorruption, "a device's descriptor is damaged"};
  }
  for (uint64_t i = 0; i < selected && reader.ok(); ++i) {
    descriptor.selected.emplace_back(reader.Bytes());
  }
  descriptor.incarnation = reader.Bytes();
  descriptor.acked_session = reader.Varint();
  descriptor.acked_page = reader.Varint();
  if (!reader.Finished()) return {ErrorCode::kCorruption, "a device's descriptor is damaged"};
  return descriptor;
}

std::string DescriptorKey(std::string_view id) {
  return std::string(kDescriptorPrefix) + std::string(id);
}

std::string MarksKey(uint32_t number, std::string_view row) {
  std::string key(kMarksPrefix);
  AppendBigEndian32(&key, number);
  key.append(row);
  return key;
}

void Device::SaveTo(WriteBatch* batch, bool with_descriptor) {
  if (with_descriptor) {
    batch->SetRow(DescriptorKey(descriptor.id), EncodeDescriptor(descriptor));
  }
  for (const MarksRow& row : marks.TakeRows()) {
    const std::string key = MarksKey(descriptor.number, row.key);
    if (row.value.has_value()) {
      batch->SetRow(key, *row.value);
    } else {
      batch->DeleteRow(key);
    }
  }
}

}  // namespace tidemark
