// What the kept store of each format holds, written by one program and expected by every later one.
#pragma once

#include <string>
#include <string_view>

#include "db/store.h"
#include "replication/source.h"
#include "replication/upload.h"

namespace tidemark::golden {

inline constexpr std::string_view kDevice = "tablet-7";
inline constexpr std::string_view kOperationId = "golden-operation";

/// Small files, as a kept store should have.
inline StoreOptions Options() {
  StoreOptions options;
  options.durability = Durability::kOrder;
  return options;
}

/// The batch that carried `kOperationId`: repeating it must answer what the first one answered.
inline WriteBatch FirstBatch() {
  WriteBatch batch;
  batch.Put("people", RecordId(1001), R"({"id":1001,"name":"Ada"})", ValueKind::kJson);
  batch.Put("people", RecordId("b-2"), R"({"name":"Grace"})", ValueKind::kJson);
  batch.Put("people", RecordId("bytes"), std::string("\0\x01\xff", 3));
  batch.Put("people", RecordId("gone"), R"({"name":"nobody"})", ValueKind::kJson);
  batch.Append("visits", RecordId("v-1"), R"({"ward":3})", ValueKind::kJson);
  batch.Append("visits", R"({"ward":4})", ValueKind::kJson);
  batch.SetOperationId(kOperationId);
  return batch;
}

inline WriteBatch SecondBatch() {
  WriteBatch batch;
  batch.Put("people",
            RecordId("b-2"),
            R"({"name":"Grace H."})",
            ValueKind::kJson,
            {.if_newer = 1'900'000'000'000});
  batch.Delete("people", RecordId("gone"));
  batch.Put("people", RecordId("late"), R"({"name":"Barbara"})", ValueKind::kJson);
  return batch;
}

/// Staged in the upload sync that was never finished.
inline UploadPage StagedPage() {
  return {.entity = "teams",
          .page = 1,
          .kind = EntityKind::kSnapshot,
          .records = {R"({"id":"t1","name":"blue"})", R"({"id":"t2","name":"red"})"}};
}

}  // namespace tidemark::golden
