#include "tools/command.h"

namespace tidemark::tools {

CommandTable AllCommands() {
  CommandTable table;
  AddRecordCommands(table);
  AddScanCommand(table);
  AddImportCommand(table);
  AddExportCommand(table);
  AddApplyCommand(table);
  AddUploadCommands(table);
  AddEntityCommands(table);
  AddLogCommands(table);
  AddDeviceCommands(table);
  AddIdPoolCommands(table);
  AddWhyCommand(table);
  AddReplicaCommands(table);
  AddOutboxCommands(table);
  AddBundleCommands(table);
  AddQueueCommands(table);
  AddSyncStatusCommands(table);
  AddBackupCommands(table);
  AddIntegrityCommands(table);
  AddDoctorCommand(table);
  AddServeCommands(table);
  AddTokenCommands(table);
  return table;
}

}  // namespace tidemark::tools
