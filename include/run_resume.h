// run_resume.h: what a run that goes on takes from its folder: whether there is one, its options, its seeds, how long it is to be.
// defines: settle_resume, take_options_of, seeds_started, take_seeds_of, require_one_length, require_alike, require_longer, command_of
#pragma once
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "train_options.h"
#include "train_run_folder.h"

namespace distill {

/// --auto-resume is --resume where a run has begun in `folder`, or in a folder there whose path from it fits one of `within`
/// ("s[0-9]*"). InputError for a folder that is there without either.
void settle_resume(Options& options, const std::filesystem::path& folder, const std::vector<std::string>& within = {});

/// A resumed run has the options it was started with; one given by hand must say the same (InputError). Of several runs each has its own
/// seed. What is not part of a run may be said anew: what its option says so of, those of `free`, --threads and --device (in a line), and
/// where files lie; places that are not said are looked for (found_again).
void take_options_of(const RunFolder& folder, const std::string& method_name, OptionTable& table, bool one_of_many = false,
                     const std::set<std::string>& free = {});

/// Of a folder of several runs (s0, s1, … in it, or in each of these the run `within`) the seeds that have begun, and those asked for with
/// them.
std::set<uint64_t> seeds_started(const std::filesystem::path& base, const std::string& within = "");

/// Of such a folder that goes on, unless --seed was given: those seeds; with --runs so many, from the first of them on. InputError where there
/// are gaps between them.
void take_seeds_of(const std::filesystem::path& base, OptionTable& table, const std::string& within = "");

/// Runs whose results stand together are of one length. InputError where those of `runs` that have begun differ in epochs, as when their being
/// made longer was interrupted, unless --epochs is given for all.
void require_one_length(const std::filesystem::path& base, const std::vector<std::filesystem::path>& runs, const OptionTable& table);

/// Runs that go on together are alike but for their seeds. InputError for an option, not given now, in which they differ; of threads and
/// device a line.
void require_alike(const RunFolder& first, const RunFolder& other, const OptionTable& table);

/// --resume --epochs N makes a run longer: says what that does to its schedule. InputError for a shorter one, or one that ends by
/// --max-steps.
void require_longer(const RunFolder& folder, const OptionTable& table, const Options& options);

/// The subcommand that trains by a method.
std::string command_of(const std::string& method);

}  // namespace distill
