// strftime in the C locale, and the reading of a fixed time. Written out, so that no locale of the process shows.
#include "lib/Text/ChatTemplate/Interpreter.h"
#include <cstdio>

namespace stepdown {

namespace {

/// Days since 1970-01-01 of a proleptic Gregorian date (H. Hinnant, "chrono-compatible low-level date algorithms").
int64_t daysFrom(int64_t year, int month, int day) {
  year -= month <= 2;
  int64_t era = (year >= 0 ? year : year - 399) / 400, yearOfEra = year - era * 400;
  int64_t dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
  return era * 146097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719468;
}

} // namespace

Status setNow(RenderOptions &options, std::string_view text) {
  std::string s(text);
  int year, month, day, hour = 0, minute = 0, second = 0, used = 0, dateEnd = 0;
  char separator = 0;
  int fields = std::sscanf(s.c_str(), "%4d-%2d-%2d%n%c%2d:%2d:%2d%n", &year, &month, &day, &dateEnd, &separator, &hour,
                           &minute, &second, &used);
  bool dateOnly = fields == 3 && static_cast<size_t>(dateEnd) == s.size();
  bool whole = fields == 7 && (separator == 'T' || separator == ' ') && static_cast<size_t>(used) == s.size();
  static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  bool leap = fields >= 3 && year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
  bool fine = (dateOnly || whole) && year >= 1 && month >= 1 && month <= 12 && day >= 1 &&
              day <= lengths[month - 1] + (leap && month == 2) && hour >= 0 && hour < 24 && minute >= 0 &&
              minute < 60 && second >= 0 && second < 60;
  if (!fine)
    return fail(ErrorCode::TemplateTime, "expects a time such as 2026-11-21T09:30:00, but got '%s'",
                s.substr(0, 80).c_str());
  std::tm t{};
  t.tm_year = year - 1900;
  t.tm_mon = month - 1;
  t.tm_mday = day;
  t.tm_hour = hour;
  t.tm_min = minute;
  t.tm_sec = second;
  t.tm_isdst = -1;
  int64_t days = daysFrom(year, month, day);
  t.tm_wday = static_cast<int>(((days + 4) % 7 + 7) % 7);
  t.tm_yday = static_cast<int>(days - daysFrom(year, 1, 1));
  options.now = t;
  options.nowSet = true;
  return Done{};
}

namespace jinja {

String formatTime(const std::tm &t, std::string_view format) {
  static const char *const days[] = {"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"};
  static const char *const months[] = {"January", "February", "March",     "April",   "May",      "June",
                                       "July",    "August",   "September", "October", "November", "December"};
  Budget::spend(1 + format.size() * 8); // two characters may be five numbers
  String out;
  char buffer[64];
  auto number = [&](const char *shape, int64_t n) {
    std::snprintf(buffer, sizeof buffer, shape, static_cast<long>(n));
    out += buffer;
  };
  int wday = (t.tm_wday % 7 + 7) % 7, month = (t.tm_mon % 12 + 12) % 12, hour12 = (t.tm_hour + 11) % 12 + 1;
  // ISO 8601: the week of a day is that of its Thursday.
  int isoDay = wday == 0 ? 7 : wday, thursday = t.tm_yday + 4 - isoDay;
  int isoYear = t.tm_year + 1900;
  auto yearDays = [](int y) { return y % 4 == 0 && (y % 100 != 0 || y % 400 == 0) ? 366 : 365; };
  if (thursday < 0)
    thursday += yearDays(--isoYear);
  else if (thursday >= yearDays(isoYear))
    thursday -= yearDays(isoYear++);
  for (size_t i = 0; i < format.size(); ++i) {
    if (format[i] != '%' || i + 1 >= format.size()) {
      out += format[i];
      continue;
    }
    size_t begin = i++;
    bool bare = format[i] == '-' && i + 1 < format.size(); // "%-d": without padding
    i += bare;
    const char *two = bare ? "%ld" : "%02ld";
    switch (format[i]) {
    case 'a':
      out.append(days[wday], 3);
      break;
    case 'A':
      out += days[wday];
      break;
    case 'b':
    case 'h':
      out.append(months[month], 3);
      break;
    case 'B':
      out += months[month];
      break;
    case 'c':
      out += formatTime(t, "%a %b %e %H:%M:%S %Y");
      break;
    case 'C':
      number(two, (t.tm_year + 1900) / 100);
      break;
    case 'd':
      number(two, t.tm_mday);
      break;
    case 'D':
    case 'x':
      out += formatTime(t, "%m/%d/%y");
      break;
    case 'e':
      number(bare ? "%ld" : "%2ld", t.tm_mday);
      break;
    case 'f':
      out += "000000";
      break;
    case 'F':
      out += formatTime(t, "%Y-%m-%d");
      break;
    case 'g':
      number(two, isoYear % 100);
      break;
    case 'G':
      number("%ld", isoYear);
      break;
    case 'H':
      number(two, t.tm_hour);
      break;
    case 'I':
      number(two, hour12);
      break;
    case 'j':
      number(bare ? "%ld" : "%03ld", t.tm_yday + 1);
      break;
    case 'k':
      number(bare ? "%ld" : "%2ld", t.tm_hour);
      break;
    case 'l':
      number(bare ? "%ld" : "%2ld", hour12);
      break;
    case 'm':
      number(two, month + 1);
      break;
    case 'M':
      number(two, t.tm_min);
      break;
    case 'n':
      out += '\n';
      break;
    case 'p':
      out += t.tm_hour < 12 ? "AM" : "PM";
      break;
    case 'P':
      out += t.tm_hour < 12 ? "am" : "pm";
      break;
    case 'r':
      out += formatTime(t, "%I:%M:%S %p");
      break;
    case 'R':
      out += formatTime(t, "%H:%M");
      break;
    case 's': // taken as UTC, for no time zone of the host may show
      number("%ld",
             daysFrom(t.tm_year + 1900, month + 1, t.tm_mday) * 86400 + t.tm_hour * 3600 + t.tm_min * 60 + t.tm_sec);
      break;
    case 'S':
      number(two, t.tm_sec);
      break;
    case 't':
      out += '\t';
      break;
    case 'T':
    case 'X':
      out += formatTime(t, "%H:%M:%S");
      break;
    case 'u':
      number("%ld", isoDay);
      break;
    case 'U':
      number(two, (t.tm_yday + 7 - wday) / 7);
      break;
    case 'V':
      number(two, thursday / 7 + 1);
      break;
    case 'w':
      number("%ld", wday);
      break;
    case 'W':
      number(two, (t.tm_yday + 7 - (wday + 6) % 7) / 7);
      break;
    case 'y':
      number(two, (t.tm_year + 1900) % 100);
      break;
    case 'Y':
      number("%ld", t.tm_year + 1900);
      break;
    case 'z':
    case 'Z':
      break; // a time without a zone
    case '%':
      out += '%';
      break;
    default:
      out += format.substr(begin, i - begin + 1);
    }
  }
  return out;
}

} // namespace jinja
} // namespace stepdown
