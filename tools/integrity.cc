// verify and recover: what a store says about its own bytes.
#include <string>

#include "tools/command.h"
#include "tools/data_root.h"

namespace tidemark::tools {
namespace {

constexpr uint64_t kProblemsShownMax = 100;

Status RunVerify(Context& context, const NoOptions& /*options*/) {
  TIDEMARK_ASSIGN_OR_RETURN(const auto store, OpenInstance(context.globals, Access::kRead));
  uint64_t problems = 0;
  uint64_t checked = 0;
  context.progress.Begin("verify", ProgressUnit::kRecords);
  const Status status = store->Verify(
      [&](const std::string& problem) {
        if (++problems <= kProblemsShownMax) context.Warn(problem);
      },
      [&](uint64_t done, uint64_t total) {
        checked = done;
        context.progress.Update(done, total);
      });
  context.progress.End();
  context.output.Object({{"sequence", store->last_sequence().value()},
                         {"checked", checked},
                         {"problems", problems},
                         {"ok", status.ok() && problems == 0}});
  TIDEMARK_RETURN_IF_ERROR(status);
  if (problems == 0) return {};
  return {ErrorCode::kCorruption, std::to_string(problems) + " problems found"};
}

struct RecoverOptions {
  bool accept_loss = false;
};

void DeclareRecover(Arguments& arguments, RecoverOptions& options) {
  arguments.Flag("--accept-loss",
                 options.accept_loss,
                 "Go on without the acknowledged writes that are missing, in a new epoch");
}

Status RunRecover(Context& context, const RecoverOptions& options) {
  StoreOptions store_options;
  store_options.accept_loss = options.accept_loss;
  TIDEMARK_ASSIGN_OR_RETURN(const auto store,
                            OpenInstance(context.globals, Access::kWrite, store_options));
  const std::vector<Epoch>& epochs = store->identity().epochs;
  context.output.Object({{"sequence", store->last_sequence().value()},
                         {"epoch", epochs.empty() ? 0 : epochs.back().ordinal},
                         {"branch", epochs.empty() ? 0 : epochs.back().branch.value()},
                         {"records", store->Statistics().records}});
  return store->Close();
}

}  // namespace

void AddIntegrityCommands(CommandTable& table) {
  table.Add<NoOptions>({"verify",
                        "Check every checksum, and the index against the log",
                        "  tidemark verify --data ./data\n"},
                       &DeclareNothing,
                       &RunVerify);
  table.Add<RecoverOptions>({"recover",
                             "Open a store that says that acknowledged writes are missing",
                             "  tidemark recover --data ./data\n"
                             "  tidemark recover --data ./data --accept-loss\n"},
                            &DeclareRecover,
                            &RunRecover);
}

}  // namespace tidemark::tools
