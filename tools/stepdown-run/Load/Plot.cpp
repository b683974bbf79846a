#include "tools/stepdown-run/Load/Load.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace stepdown::run {
namespace {

constexpr double width = 360, height = 220, left = 56, top = 56, gap = 72;

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, value < 1000 ? "%.4g" : "%.0f", value);
  return text;
}

std::string escaped(const std::string &text) {
  std::string out;
  for (char c : text)
    out += c == '&' ? "&amp;" : c == '<' ? "&lt;" : c == '>' ? "&gt;" : std::string(1, c);
  return out;
}

std::string label(double x, double y, const char *anchor, const std::string &text) {
  return "<text x=\"" + number(x) + "\" y=\"" + number(y) + "\" text-anchor=\"" + anchor + "\">" + escaped(text) +
         "</text>\n";
}

std::string line(double x1, double y1, double x2, double y2, const char *colour) {
  return "<path d=\"M" + number(x1) + " " + number(y1) + "L" + number(x2) + " " + number(y2) + "\" stroke=\"" + colour +
         "\"/>\n";
}

/// A step of 1, 2 or 5 times a power of ten, about five of which are `most`.
double stepOf(double most) {
  const double power = std::pow(10, std::floor(std::log10(most / 5)));
  const double times = most / 5 / power;
  return power * (times < 1.5 ? 1 : times < 3.5 ? 2 : times < 7.5 ? 5 : 10);
}

/// The curve of `sorted`, in seconds, whose box begins at `x`.
std::string panel(double x, const std::string &title, const std::vector<double> &sorted) {
  const double bottom = top + height;
  std::string out = label(x + width / 2, top - 10, "middle", title + ", ms");
  for (int part : {0, 25, 50, 75, 100}) {
    const double y = bottom - height * part / 100;
    out += line(x, y, x + width, y, "#ccc") + label(x - 6, y + 4, "end", std::to_string(part) + " %");
  }
  if (sorted.empty())
    return out;
  const double most = std::max(sorted.back() * 1000, 1e-6), step = stepOf(most), end = step * std::ceil(most / step);
  auto across = [&](double milliseconds) { return x + width * milliseconds / end; };
  for (double at = 0; at <= end * 1.0001; at += step)
    out +=
        line(across(at), bottom, across(at), bottom + 5, "#888") + label(across(at), bottom + 20, "middle", number(at));
  std::string path = "M" + number(across(0)) + " " + number(bottom);
  for (size_t i = 0; i < sorted.size(); ++i)
    path += "H" + number(across(sorted[i] * 1000)) + "V" +
            number(bottom - height * double(i + 1) / static_cast<double>(sorted.size()));
  out += "<path d=\"" + path + "\" fill=\"none\" stroke=\"#0a6\" stroke-width=\"2\"/>\n";
  for (double share : {0.5, 0.95}) {
    const double at = percentile(sorted, share) * 1000, y = bottom - height * share;
    out += "<circle cx=\"" + number(across(at)) + "\" cy=\"" + number(y) + "\" r=\"3\" fill=\"#063\"/>\n";
    const bool right = across(at) > x + width * 0.7;
    out += label(across(at) + (right ? -8 : 8), y + (right ? -4 : 14), right ? "end" : "start", // beside the curve
                 "p" + number(share * 100) + " " + number(at));
  }
  return out;
}

} // namespace

std::string plotOf(const LoadReport &report, const std::string &title) {
  const double all = 2 * (left + width) + gap / 2;
  return "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 " + number(all) + " " + number(top + height + 40) +
         "\" font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n" +
         label(all / 2, 22, "middle", title) + panel(left, "time to the first token", report.toFirst) +
         panel(left + width + gap, "time per output token", report.perToken) + "</svg>\n";
}

} // namespace stepdown::run
