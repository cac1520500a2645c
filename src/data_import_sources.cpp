#include "data_import_sources.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <sstream>
#include <string>

#include "base_error.h"
#include "base_files.h"
#include "base_texts.h"
#include "data_image.h"

namespace distill {
namespace {

struct ImageFile {
    fs::path path;
    int32_t label;
};

ImportPart part_of(std::vector<ImageFile> list, int size) {
    ImportPart part;
    for (const ImageFile& file : list) part.labels.push_back(file.label);
    const auto files = std::make_shared<const std::vector<ImageFile>>(std::move(list));
    part.draw = [files, size](size_t i, uint8_t* planes) {
        const Image image = load_image((*files)[i].path);
        resize_to_planes(image, size, planes);
        return Drawn{image.turned, image.transparent};
    };
    return part;
}

/// The user's entries of a folder, sorted by name. InputError if there is no such folder; a machine's failure as cannot_read() has it.
std::vector<fs::path> entries(const fs::path& folder, const std::string& expected) {
    std::error_code error;
    std::vector<fs::path> result;
    for (const fs::directory_entry& entry : fs::directory_iterator(folder, error))
        if (!is_left_by_a_desktop(entry.path().filename().string())) result.push_back(entry.path());
    if (is_machines_fault(error.value())) cannot_read(folder, error.value());
    if (error) input_error(folder.string(), ": cannot be listed (", error.message(), "), expected ", expected);
    std::sort(result.begin(), result.end());
    return result;
}

/// A class folder's files.
std::vector<fs::path> files_of_class(const fs::path& folder) {
    std::vector<fs::path> files = entries(folder, "a folder of this class's images");
    for (const fs::path& file : files)
        if (!fs::is_regular_file(file)) input_error(file.string(), ": is no file, expected nothing but images in a class folder");
    return files;
}

/// A class must have something to train on.
std::vector<fs::path> training_files(const fs::path& folder) {
    std::vector<fs::path> files = files_of_class(folder);
    if (files.empty()) input_error(folder.string(), ": found no image, expected at least one; add some or remove the class");
    return files;
}

/// Appends a class's files, at most `limit` of them (0: all).
void add_class(const std::vector<fs::path>& files, int32_t label, int limit, std::vector<ImageFile>& list) {
    const size_t count = limit > 0 ? std::min(files.size(), size_t(limit)) : files.size();
    for (size_t i = 0; i < count; ++i) list.push_back({files[i], label});
}

/// Takes `part` of a class's files away for the test, one at least, but never the only one: always the same ones. Both keep their order.
std::vector<fs::path> taken_for_test(std::vector<fs::path>& files, double part) {
    const size_t all = files.size(), wanted = std::max<size_t>(1, size_t(std::lround(double(all) * part)));
    std::vector<char> taken(all, 0);
    std::fill_n(taken.begin(), std::min(wanted, all - 1), char{1});
    constexpr uint64_t seed = 1;
    std::mt19937_64 engine(seed);  // Fisher-Yates: std::shuffle's draws are the library's own
    for (size_t i = all; i > 1; --i) std::swap(taken[i - 1], taken[engine() % i]);
    std::vector<fs::path> test, train;
    for (size_t i = 0; i < all; ++i) (taken[i] ? test : train).push_back(files[i]);
    files = std::move(train);
    return test;
}

void require_readable_name(const std::string& name, const std::string& where) {
    if (printable(name) != name)
        input_error(where, ": found the class name '", printable(name), "', expected printable UTF-8; give it a name that others can read");
}

/// How many classes to take of those there are. InputError if --classes asks for more.
size_t classes_taken(const ImportOptions& options, size_t present, const fs::path& where) {
    if (options.classes > 0 && size_t(options.classes) > present)
        input_error("--classes: found ", options.classes, ", expected at most ", present, ", the classes in ", where.string());
    return options.classes > 0 ? size_t(options.classes) : present;
}

/// Lines of a text file without their ends; an empty last one is none.
std::vector<std::string> lines_of(const fs::path& path) {
    std::istringstream in(read_file(path));
    std::vector<std::string> lines;
    for (std::string line; std::getline(in, line);) {
        while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.pop_back();
        lines.push_back(line);
    }
    while (!lines.empty() && lines.back().empty()) lines.pop_back();
    return lines;
}

std::map<std::string, int32_t> read_wnids(const fs::path& path, std::vector<ClassName>& classes) {
    std::map<std::string, int32_t> label_of;
    const std::vector<std::string> lines = lines_of(path);
    for (size_t i = 0; i < lines.size(); ++i) {
        if (lines[i].empty() || !label_of.emplace(lines[i], int32_t(i)).second)
            input_error(path.string(), ": line ", i + 1, ": found '", lines[i], "', expected a class id that no other line has");
        require_readable_name(lines[i], text(path.string(), ": line ", i + 1));
        classes.push_back({lines[i], ""});
    }
    if (classes.empty()) input_error(path.string(), ": is empty, expected one class id a line");
    return label_of;
}

/// words.txt explains the ids; a tree without it is imported all the same.
void add_words(const fs::path& path, const std::map<std::string, int32_t>& label_of, std::vector<ClassName>& classes) {
    if (!fs::is_regular_file(path)) return;
    for (const std::string& line : lines_of(path)) {
        const size_t tab = line.find('\t');
        const auto found = tab == std::string::npos ? label_of.end() : label_of.find(line.substr(0, tab));
        if (found != label_of.end()) classes[size_t(found->second)].words = as_utf8(line.substr(tab + 1));
    }
}

/// val_annotations.txt: `<file>\t<wnid>\t<box…>` a line. Every line is checked, those of the first `taken` classes are listed.
std::vector<ImageFile> read_annotations(const fs::path& val, const std::map<std::string, int32_t>& label_of, size_t taken, int limit) {
    const fs::path path = val / "val_annotations.txt";
    if (!fs::is_regular_file(path)) input_error(path.string(), ": is missing, expected the official tree's list of validation labels");
    std::vector<ImageFile> list;
    std::vector<int> count(label_of.size(), 0);
    const std::vector<std::string> lines = lines_of(path);
    for (size_t i = 0; i < lines.size(); ++i) {
        std::istringstream cells(lines[i]);
        std::string file, wnid;
        if (!std::getline(cells, file, '\t') || !std::getline(cells, wnid, '\t'))
            input_error(path.string(), ": line ", i + 1, ": found '", lines[i], "', expected <file><tab><class id><tab>…");
        const auto found = label_of.find(wnid);
        if (found == label_of.end())
            input_error(path.string(), ": line ", i + 1, ": found the unknown class '", wnid, "', expected one of the ", label_of.size(),
                        " ids in wnids.txt");
        const int32_t label = found->second;
        if (size_t(label) < taken && (limit == 0 || count[size_t(label)]++ < limit)) list.push_back({val / "images" / file, label});
    }
    return list;
}

/// Where the class folders of each part are; without `test` they are to be split.
struct Tree {
    fs::path train, test;
    std::set<std::string> unread;  ///< folders that are no classes, where `train` is the tree itself
};

/// Has it folders that class_folders() would take?
bool has_folders(const fs::path& folder) {
    std::error_code unreadable;  // is complained of by who reads it
    const fs::directory_iterator all(folder, unreadable);
    return unreadable || std::any_of(begin(all), end(all), [](const fs::directory_entry& entry) {
               return entry.is_directory() && !is_left_by_a_desktop(entry.path().filename().string());
           });
}

Tree tree_in(const ImportOptions& options, std::vector<std::string>& notes) {
    const fs::path& from = options.from;
    Tree tree{from / "train", {}, {}};
    for (const char* name : {"test", "val", "valid", "validation"}) {
        if (!fs::is_directory(from / name)) continue;
        if (!has_folders(from / name)) {
            tree.unread.insert(name);
            notes.push_back(text("note: ", (from / name).string(), " is not read: it has no class folders, so its images have no labels"));
        } else if (!tree.test.empty())
            notes.push_back(text("note: ", (from / name).string(), " is not read: the test images are those of ", tree.test.string()));
        else
            tree.test = from / name;
    }
    const bool split = options.test_part > 0, has_train = fs::is_directory(tree.train);
    if (split && !tree.test.empty())
        input_error("--test-part ", options.test_part, ": ", tree.test.string(), " is the test part already; leave the option out");
    if (split && !has_train) tree.train = from;
    if (tree.train != from) tree.unread.clear();
    if (!split && has_train && tree.test.empty())
        input_error(from.string(),
                    ": found no test part, expected test/, val/, valid/ or validation/ beside train/; with --test-part 0.2 a ",
                    "fifth of each class's training images becomes it");
    return tree;
}

std::vector<std::string> class_folders(const fs::path& folder, const std::set<std::string>& unread, std::vector<std::string>& notes) {
    std::vector<std::string> names;
    size_t files = 0;
    for (const fs::path& entry : entries(folder,
                                         "one folder a class (FROM/train/<class>/*, FROM/test/<class>/*; a tree without these two, "
                                         "FROM/<class>/*, is split by --test-part 0.2)"))
        if (const std::string name = entry.filename().string(); !fs::is_directory(entry))
            ++files;
        else if (unread.count(name) == 0)
            names.push_back(name);
    if (files > 0)
        notes.push_back(
            text("note: ", files, files == 1 ? " file" : " files", " beside the class folders of ", folder.string(), " not read"));
    return names;
}

}  // namespace

ImportSource list_tiny_imagenet(const ImportOptions& options) {
    if (!fs::is_regular_file(options.from / "wnids.txt"))
        input_error((options.from / "wnids.txt").string(), ": is missing, expected the unpacked tiny-imagenet-200 folder in --from; ",
                    "`distill data fetch tiny-imagenet --data ", shell_word(options.data.string()), "` gets it");
    ImportSource source;
    const auto label_of = read_wnids(options.from / "wnids.txt", source.classes);
    add_words(options.from / "words.txt", label_of, source.classes);
    source.classes.resize(classes_taken(options, source.classes.size(), options.from / "wnids.txt"));
    std::vector<ImageFile> train;
    for (size_t c = 0; c < source.classes.size(); ++c)
        add_class(training_files(options.from / "train" / source.classes[c].name / "images"), int32_t(c), options.limit, train);
    source.train = part_of(std::move(train), options.size);
    source.test = part_of(read_annotations(options.from / "val", label_of, source.classes.size(), options.limit), options.size);
    return source;
}

ImportSource list_class_folders(const ImportOptions& options) {
    ImportSource source;
    const Tree tree = tree_in(options, source.notes);
    const std::vector<std::string> names = class_folders(tree.train, tree.unread, source.notes);
    if (names.empty()) input_error(tree.train.string(), ": found no class folder, expected one a class with its images");
    for (const std::string& name : names) require_readable_name(name, tree.train.string());
    const std::vector<std::string> tested = tree.test.empty() ? names : class_folders(tree.test, {}, source.notes);
    for (const std::string& name : tested)
        if (!std::binary_search(names.begin(), names.end(), name))
            input_error((tree.test / name).string(), ": is a class that ", tree.train.string(), " does not have, expected the same ",
                        names.size(), " classes");
    std::vector<ImageFile> train, test;
    for (size_t c = 0; c < classes_taken(options, names.size(), tree.train); ++c) {
        source.classes.push_back({names[c], ""});
        std::vector<fs::path> files = training_files(tree.train / names[c]), test_files;
        if (tree.test.empty())
            test_files = taken_for_test(files, options.test_part);
        else if (std::binary_search(tested.begin(), tested.end(), names[c]))
            test_files = files_of_class(tree.test / names[c]);
        add_class(files, int32_t(c), options.limit, train);
        add_class(test_files, int32_t(c), options.limit, test);
    }
    source.train = part_of(std::move(train), options.size);
    source.test = part_of(std::move(test), options.size);
    return source;
}

}  // namespace distill
