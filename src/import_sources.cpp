#include "import_sources.h"

#include <algorithm>
#include <map>
#include <memory>
#include <sstream>
#include <string>

#include "data_import.h"
#include "error.h"
#include "files.h"
#include "image.h"

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
    part.draw = [files, size](size_t i, uint8_t* planes) { resize_to_planes(load_image((*files)[i].path), size, planes); };
    return part;
}

/// Visible entries of a folder, sorted by name. InputError if there is no such folder.
std::vector<fs::path> entries(const fs::path& folder, const std::string& expected) {
    std::error_code error;
    std::vector<fs::path> result;
    for (const fs::directory_entry& entry : fs::directory_iterator(folder, error))
        if (entry.path().filename().string()[0] != '.') result.push_back(entry.path());
    if (error) input_error(folder.string(), ": cannot be listed (", error.message(), "), expected ", expected);
    std::sort(result.begin(), result.end());
    return result;
}

/// Appends a class folder's files, at most `limit` of them (0: all).
void add_class(const fs::path& folder, int32_t label, int limit, std::vector<ImageFile>& list) {
    const std::vector<fs::path> files = entries(folder, "a folder of this class's images");
    if (files.empty()) input_error(folder.string(), ": found no image, expected at least one; add some or remove the class");
    for (const fs::path& file : files)
        if (!fs::is_regular_file(file)) input_error(file.string(), ": is no file, expected nothing but images in a class folder");
    const size_t count = limit > 0 ? std::min(files.size(), size_t(limit)) : files.size();
    for (size_t i = 0; i < count; ++i) list.push_back({files[i], label});
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
        if (found != label_of.end()) classes[size_t(found->second)].words = line.substr(tab + 1);
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

}  // namespace

ImportSource list_tiny_imagenet(const ImportOptions& options) {
    if (!fs::is_regular_file(options.from / "wnids.txt"))
        input_error((options.from / "wnids.txt").string(), ": is missing, expected the unpacked tiny-imagenet-200 folder in --from; ",
                    "`distill data fetch tiny-imagenet` gets it");
    ImportSource source;
    const auto label_of = read_wnids(options.from / "wnids.txt", source.classes);
    add_words(options.from / "words.txt", label_of, source.classes);
    source.classes.resize(classes_taken(options, source.classes.size(), options.from / "wnids.txt"));
    std::vector<ImageFile> train;
    for (size_t c = 0; c < source.classes.size(); ++c)
        add_class(options.from / "train" / source.classes[c].name / "images", int32_t(c), options.limit, train);
    source.train = part_of(std::move(train), options.size);
    source.test = part_of(read_annotations(options.from / "val", label_of, source.classes.size(), options.limit), options.size);
    return source;
}

ImportSource list_class_folders(const ImportOptions& options) {
    const fs::path train_folder = options.from / "train";
    const fs::path test_folder = options.from / (fs::is_directory(options.from / "test") ? "test" : "val");
    const auto class_folders = [](const fs::path& folder) {
        std::vector<std::string> names;
        for (const fs::path& entry : entries(folder, "one folder a class (FROM/train/<class>/*, FROM/test/<class>/*)"))
            if (fs::is_directory(entry)) names.push_back(entry.filename().string());
        return names;
    };
    ImportSource source;
    const std::vector<std::string> names = class_folders(train_folder);
    if (names.empty()) input_error(train_folder.string(), ": found no class folder, expected one a class with its images");
    for (const std::string& name : class_folders(test_folder))
        if (!std::binary_search(names.begin(), names.end(), name))
            input_error((test_folder / name).string(), ": is a class that ", train_folder.string(), " does not have, expected the same ",
                        names.size(), " classes");
    std::vector<ImageFile> train, test;
    for (size_t c = 0; c < classes_taken(options, names.size(), train_folder); ++c) {
        source.classes.push_back({names[c], ""});
        add_class(train_folder / names[c], int32_t(c), options.limit, train);
        add_class(test_folder / names[c], int32_t(c), options.limit, test);
    }
    source.train = part_of(std::move(train), options.size);
    source.test = part_of(std::move(test), options.size);
    return source;
}

}  // namespace distill
