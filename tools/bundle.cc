// bundle: syncs as files, for where there is no network.
#include "replication/bundle.h"

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "format/hex.h"
#include "replication/replica.h"
#include "tools/command.h"
#include "tools/data_root.h"
#include "tools/sync_fields.h"

namespace tidemark::tools {
namespace {

void AddHeaderFields(const BundleHeader& header, Fields* fields) {
  fields->insert(fields->end(),
                 {{"direction", BundleDirectionName(header.direction)},
                  {"id", EncodeHex(header.id)},
                  {"device", header.device},
                  {"store", EncodeHex(header.store)},
                  {"epoch", EncodeHex(header.epoch)},
                  {"incarnation", EncodeHex(header.incarnation)},
                  {"created_at", Cell::Time(header.created_at)}});
  if (!header.pull.has_value()) return;
  const SessionInfo& session = header.pull->session;
  fields->insert(fields->end(),
                 {{"session", session.number},
                  {"cut", session.cut.value()},
                  {"owed", session.owed},
                  {"reset", session.reset},
                  {"complete", header.pull->complete}});
}

void AddTotalsFields(const BundleHeader& header, const BundleTotals& totals, Fields* fields) {
  fields->emplace_back("frames", totals.frames);
  if (header.direction == BundleDirection::kPull) {
    fields->insert(fields->end(), {{"pages", totals.pages}, {"records", totals.records}});
  } else {
    fields->insert(fields->end(), {{"pushes", totals.pushes}, {"operations", totals.operations}});
  }
  if (header.direction == BundleDirection::kPush) fields->emplace_back("keys", totals.keys);
  fields->insert(fields->end(),
                 {{"bytes", Cell::Bytes(totals.bytes)},
                  {"unpacked_bytes", Cell::Bytes(totals.unpacked_bytes)},
                  {"checksum", totals.checksum.empty() ? Cell::None() : Cell(totals.checksum)}});
}

/// The replica in a data root; with a device, one is made where there is none.
Result<std::unique_ptr<Replica>> OpenReplica(Context& context,
                                             const std::string& root,
                                             const std::string& device) {
  TIDEMARK_ASSIGN_OR_RETURN(const auto path, InstancePath(root, context.globals.instance));
  if (device.empty() && !std::filesystem::exists(path)) {
    return {ErrorCode::kNotFound, path.string() + " is not there"};
  }
  TIDEMARK_RETURN_IF_ERROR(CreateDirectories(path));
  auto replica = Replica::Open(path, device);
  if (!replica.ok()) return replica.status().WithContext("replica");
  return replica;
}

struct PackCommandOptions {
  std::string device;
  std::string replica;
  std::string out;
  bool fresh = false;
};

void DeclarePack(Arguments& arguments, PackCommandOptions& options) {
  arguments.RequiredText("--out", options.out, "File to write; it appears when it is complete");
  arguments.Text("--device", options.device, "At the source: the device that it is for");
  arguments.Text("--replica", options.replica, "At the device: data root of the replica");
  arguments.Flag(
      "--fresh", options.fresh, "At the source: everything, for a replica that holds nothing");
}

void ShowPacked(Context& context, const PackCommandOptions& options, const BundlePacked& packed) {
  Fields fields;
  if (packed.nothing) {
    fields.emplace_back("nothing", true);
  } else {
    fields.emplace_back("file", options.out);
    AddHeaderFields(packed.header, &fields);
    AddTotalsFields(packed.header, packed.totals, &fields);
    if (packed.left > 0) fields.emplace_back("left", packed.left);
  }
  context.output.Object(fields);
}

Status PackAtSource(Context& context, const PackCommandOptions& options) {
  TIDEMARK_ASSIGN_OR_RETURN(const OpenedSource opened, OpenSource(context.globals, Access::kWrite));
  context.progress.Begin("pack", ProgressUnit::kRecords);
  const auto packed = opened.source->PackBundle(
      options.device, options.out, {.fresh = options.fresh}, [&](uint64_t done, uint64_t total) {
        context.progress.Update(done, total);
      });
  context.progress.End();
  TIDEMARK_RETURN_IF_ERROR(packed.status());
  ShowPacked(context, options, *packed);
  return {};
}

Status PackAtDevice(Context& context, const PackCommandOptions& options) {
  TIDEMARK_ASSIGN_OR_RETURN(const auto replica,
                            OpenReplica(context, options.replica, /*device=*/{}));
  context.progress.Begin("pack", ProgressUnit::kRecords);
  const auto packed = replica->PackBundle(
      options.out, [&](uint64_t done, uint64_t total) { context.progress.Update(done, total); });
  context.progress.End();
  TIDEMARK_RETURN_IF_ERROR(packed.status());
  ShowPacked(context, options, *packed);
  return replica->store().Close();
}

Status RunPack(Context& context, const PackCommandOptions& options) {
  if (options.device.empty() == options.replica.empty()) {
    return {ErrorCode::kInvalidArgument,
            "give --device, to pack what a device is owed, or --replica, to pack what one wrote"};
  }
  if (!options.replica.empty() && options.fresh) {
    return {ErrorCode::kInvalidArgument, "--fresh is for bundles that are packed at the source"};
  }
  return options.replica.empty() ? PackAtSource(context, options) : PackAtDevice(context, options);
}

struct InspectCommandOptions {
  std::string file;
};

void DeclareInspect(Arguments& arguments, InspectCommandOptions& options) {
  arguments.RequiredText("file,--file", options.file, "The bundle");
}

Status RunInspect(Context& context, const InspectCommandOptions& options) {
  TIDEMARK_ASSIGN_OR_RETURN(const BundleReport report, InspectBundle(options.file));
  Fields fields = {{"sound", report.soundness.ok()}};
  AddHeaderFields(report.header, &fields);
  AddTotalsFields(report.header, report.totals, &fields);
  context.output.Object(fields);
  return report.soundness.ok() ? Status() : report.soundness.WithContext(options.file);
}

struct ApplyCommandOptions {
  std::string file;
  std::string replica;
  std::optional<std::string> answers;
};

void DeclareApply(Arguments& arguments, ApplyCommandOptions& options) {
  arguments.RequiredText("file,--file", options.file, "The bundle");
  arguments.Text("--replica",
                 options.replica,
                 "At the device: data root of the replica, which is made if there is none");
  arguments.Text(
      "--answers", options.answers, "At the source: file to pack the answers for the device into");
}

Status ApplyAtDevice(Context& context, const ApplyCommandOptions& options) {
  if (options.answers.has_value()) {
    return {ErrorCode::kInvalidArgument, "--answers is for bundles that are applied at the source"};
  }
  // Before a folder is made: what is damaged makes none.
  TIDEMARK_ASSIGN_OR_RETURN(const BundleReport report, InspectBundle(options.file));
  TIDEMARK_RETURN_IF_ERROR(report.soundness.WithContext(options.file));
  TIDEMARK_ASSIGN_OR_RETURN(const auto path,
                            InstancePath(options.replica, context.globals.instance));
  const bool made = std::filesystem::exists(path);
  const bool pulls = report.header.direction == BundleDirection::kPull;
  TIDEMARK_ASSIGN_OR_RETURN(
      const auto replica,
      OpenReplica(context, options.replica, made || !pulls ? "" : report.header.device));
  context.progress.Begin("apply", ProgressUnit::kRecords);
  const auto applied = replica->ApplyBundle(options.file, [&](const PullProgress& progress) {
    context.progress.Update(progress.records, progress.owed);
  });
  context.progress.End();
  TIDEMARK_RETURN_IF_ERROR(applied.status());
  Fields fields = {{"direction", BundleDirectionName(applied->header.direction)}};
  if (pulls) {
    AddPullFields(applied->pull, &fields);
  } else {
    AddPushFields(applied->push, replica->outbox(), &fields);
  }
  context.output.Object(fields);
  TIDEMARK_RETURN_IF_ERROR(replica->store().Close());
  return CheckRefused(applied->push);
}

Status ApplyAtSource(Context& context, const ApplyCommandOptions& options) {
  TIDEMARK_ASSIGN_OR_RETURN(const OpenedSource opened, OpenSource(context.globals, Access::kWrite));
  context.progress.Begin("apply", ProgressUnit::kRecords);
  const auto taken = opened.source->ApplyBundle(
      options.file, options.answers.value_or(""), [&](uint64_t done, uint64_t total) {
        context.progress.Update(done, total);
      });
  context.progress.End();
  TIDEMARK_RETURN_IF_ERROR(taken.status());
  Fields fields = {{"direction", BundleDirectionName(taken->header.direction)},
                   {"device", taken->header.device}};
  for (int i = 0; i < kPushOutcomeCount; ++i) {
    const auto outcome = static_cast<PushOutcome>(i);
    fields.emplace_back(std::string(PushOutcomeName(outcome)),
                        taken->counts[static_cast<size_t>(i)]);
  }
  fields.insert(fields.end(),
                {{"acknowledged", taken->acknowledged}, {"ignored_keys", taken->ignored_keys}});
  context.output.Object(fields);
  // Nobody else owns the source, so nobody else forgets what its devices need no more.
  return opened.source->Upkeep().status();
}

Status RunApply(Context& context, const ApplyCommandOptions& options) {
  return options.replica.empty() ? ApplyAtSource(context, options)
                                 : ApplyAtDevice(context, options);
}

}  // namespace

void AddBundleCommands(CommandTable& table) {
  table.AddGroup("bundle", "Syncs as files, for where there is no network");
  table.Add<PackCommandOptions>(
      {"bundle pack",
       "Pack what a device is owed, or what a replica wrote and has to acknowledge, into a file",
       "  tidemark bundle pack --data ./data --device tablet-7 --out to-tablet.bundle\n"
       "  tidemark bundle pack --data ./data --device tablet-8 --fresh --out seed.bundle\n"
       "  tidemark bundle pack --replica ./tablet --out from-tablet.bundle\n"},
      &DeclarePack,
      &RunPack);
  table.Add<InspectCommandOptions>({"bundle inspect",
                                    "Check a bundle to its end, and say what is in it",
                                    "  tidemark bundle inspect to-tablet.bundle\n"
                                    "  tidemark bundle inspect to-tablet.bundle --output json\n"},
                                   &DeclareInspect,
                                   &RunInspect);
  table.Add<ApplyCommandOptions>(
      {"bundle apply",
       "Apply a bundle, at the device that it is for or at the source",
       "  tidemark bundle apply to-tablet.bundle --replica ./tablet\n"
       "  tidemark bundle apply from-tablet.bundle --data ./data --answers answers.bundle\n"
       "  tidemark bundle apply answers.bundle --replica ./tablet\n"},
      &DeclareApply,
      &RunApply);
}

}  // namespace tidemark::tools
