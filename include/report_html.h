// report_html.h: the report as one self-contained page.
// defines: html_page, html_begins
#pragma once
#include <string>

#include "report.h"

namespace distill {

/// The whole page: styles and pictures are inside, nothing is fetched, every text from a run is escaped. `date` is printed as given.
std::string html_page(const Report& report, const std::string& date);
inline const char* const html_begins = "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\">";  ///< every such page

}  // namespace distill
