// data_fetch.h: the public archives, downloaded, verified and unpacked.
// defines: FetchOptions, fetch_dataset
#pragma once
#include <filesystem>
#include <string>

namespace distill {

struct FetchOptions {
    std::string name;                     ///< cifar10, cifar100 or tiny-imagenet
    std::filesystem::path data = "data";  ///< the archive and its folder land here
    std::string url;                      ///< empty: the official one; a mirror's archive is held to the same MD5
    std::string md5;                      ///< empty: the published one; "none": unchecked
    bool force = false;                   ///< unpack again over a folder that exists and holds nothing else
    bool quiet = false;
};

/// Downloads with curl into DIR/<archive>.part (a later call resumes there), checks the MD5, renames it to DIR/<archive>, unpacks with
/// tar or unzip into a hidden folder, checks what came out, renames that. An archive that lies in DIR already is verified and unpacked
/// without network. InputError: an unknown name (lists the known), no network (the URL, and where to put the file by hand), another MD5,
/// a program that is missing (its package), an archive that does not unpack, a folder to be replaced that holds what the archive does not.
void fetch_dataset(const FetchOptions& options);

}  // namespace distill
