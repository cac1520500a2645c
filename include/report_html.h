// report_html.h: the report as one self-contained page.
// defines: html_page
#pragma once
#include <string>

#include "report.h"

namespace distill {

/// The whole page: styles and pictures are inside, nothing is fetched, every text from a run is escaped. `date` is printed as given.
std::string html_page(const Report& report, const std::string& date);

}  // namespace distill
