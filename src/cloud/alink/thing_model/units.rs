//! Units of measure: what the thing model calls them, and which symbols mean the same.

use crate::spec::TitleLanguage;

/// The symbols of units with their names in English and Chinese (GB 3100 to 3102 for the Chinese
/// ones). The list is of what devices on field buses measure; another symbol is a name by itself.
const UNITS: [(&str, &str, &str); 50] = [
    ("%", "percent", "百分比"),
    ("°", "degree", "度"),
    ("°C", "degree Celsius", "摄氏度"),
    ("°F", "degree Fahrenheit", "华氏度"),
    ("A", "ampere", "安培"),
    ("Ah", "ampere hour", "安时"),
    ("bar", "bar", "巴"),
    ("d", "day", "天"),
    ("dB", "decibel", "分贝"),
    ("dBm", "decibel milliwatt", "分贝毫瓦"),
    ("g", "gram", "克"),
    ("GJ", "gigajoule", "吉焦"),
    ("h", "hour", "小时"),
    ("Hz", "hertz", "赫兹"),
    ("kA", "kiloampere", "千安"),
    ("kg", "kilogram", "千克"),
    ("kHz", "kilohertz", "千赫兹"),
    ("kPa", "kilopascal", "千帕"),
    ("kV", "kilovolt", "千伏"),
    ("kVA", "kilovolt ampere", "千伏安"),
    ("kVAh", "kilovolt ampere hour", "千伏安时"),
    ("kvar", "kilovar", "千乏"),
    ("kvarh", "kilovar hour", "千乏时"),
    ("kW", "kilowatt", "千瓦"),
    ("kWh", "kilowatt hour", "千瓦时"),
    ("kΩ", "kilohm", "千欧姆"),
    ("L", "litre", "升"),
    ("L/h", "litre per hour", "升每小时"),
    ("lx", "lux", "勒克斯"),
    ("m", "metre", "米"),
    ("m³", "cubic metre", "立方米"),
    ("m³/h", "cubic metre per hour", "立方米每小时"),
    ("mA", "milliampere", "毫安"),
    ("mg/kg", "milligram per kilogram", "毫克每千克"),
    ("min", "minute", "分钟"),
    ("mm", "millimetre", "毫米"),
    ("ms", "millisecond", "毫秒"),
    ("mV", "millivolt", "毫伏"),
    ("MWh", "megawatt hour", "兆瓦时"),
    ("MΩ", "megohm", "兆欧姆"),
    ("Pa", "pascal", "帕斯卡"),
    ("ppb", "parts per billion", "十亿分率"),
    ("ppm", "parts per million", "百万分率"),
    ("r/min", "revolution per minute", "转每分钟"),
    ("s", "second", "秒"),
    ("V", "volt", "伏特"),
    ("VA", "volt ampere", "伏安"),
    ("var", "var", "乏"),
    ("W", "watt", "瓦特"),
    ("µS/cm", "microsiemens per centimetre", "微西门子每厘米"),
];

/// Returns the name of the unit with this symbol; `None` if the symbol is not in the list.
#[must_use]
pub fn unit_name(symbol: &str, readers: TitleLanguage) -> Option<&'static str> {
    let (_, english, chinese) = UNITS.iter().find(|(known, _, _)| *known == symbol)?;
    Some(match readers {
        TitleLanguage::Any => english,
        TitleLanguage::Chinese => chinese,
    })
}

/// Returns whether two symbols mean the same unit: the console writes `kW·h` and `℃`.
pub(super) fn is_same(one: &str, other: &str) -> bool {
    let plain = |symbol: &str| {
        symbol
            .replace('℃', "°C")
            .replace("m3", "m³")
            .replace('μ', "µ")
            .replace(['·', ' ', '.'], "")
    };
    plain(one) == plain(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_symbol_is_in_the_list_once() {
        let mut symbols: Vec<&str> = UNITS.iter().map(|(symbol, _, _)| *symbol).collect();
        symbols.sort_unstable();
        symbols.dedup();
        assert_eq!(symbols.len(), UNITS.len());
        assert_eq!(unit_name("kWh", TitleLanguage::Any), Some("kilowatt hour"));
        assert_eq!(unit_name("kWh", TitleLanguage::Chinese), Some("千瓦时"));
        assert_eq!(unit_name("kwh", TitleLanguage::Any), None);
    }

    #[test]
    fn other_ways_to_write_a_unit_are_known() {
        for (one, other) in [("kWh", "kW·h"), ("°C", "℃"), ("m³/h", "m3/h"), ("W", "W")] {
            assert!(is_same(one, other), "{one}, {other}");
        }
        for (one, other) in [("W", "kW"), ("kW", "kWh"), ("mA", "A"), ("", "%")] {
            assert!(!is_same(one, other), "{one}, {other}");
        }
    }
}
