//! The report as one file: the page is fixed, the figures are JSON inside it, its script draws them.

use serde_json::Value;

const PAGE: &str = include_str!("report.html");
/// Where the figures go.
const PLACE: &str = "REPORT_DATA";
/// What stands before the figures in the page.
#[cfg(test)]
pub(crate) const DATA_BEGIN: &str = "<script id=\"data\" type=\"application/json\">";
/// What stands after them.
#[cfg(test)]
pub(crate) const DATA_END: &str = "</script>";

/// The page for these figures.
pub(crate) fn page(report: &Value) -> String {
    // The only bytes of JSON that could end a script element early.
    let data = report.to_string().replace("</", "<\\/");
    PAGE.replacen(PLACE, &data, 1)
}
