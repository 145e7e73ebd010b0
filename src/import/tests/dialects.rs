//! What each program means by its words, where it is not what they seem to say.

use super::*;

/// Returns the points that are written of a file, without their titles and what is behind them.
pub(super) fn points(kind: FileKind, text: &str) -> Vec<String> {
    let wishes = Wishes {
        kind: Some(kind),
        ..Wishes::default()
    };
    let imported = import(text.as_bytes(), &wishes).unwrap();
    let yaml = writer::yaml(&imported, "a", &str::to_owned);
    let lines = yaml
        .lines()
        .filter_map(|l| l.strip_prefix("      - { id: "));
    let end = |line: &str| line.find(", title: ").or(line.rfind(" }"));
    let map = |line: &str| line[..end(line).unwrap()].to_owned();
    lines.map(map).collect()
}

pub(super) fn findings(kind: FileKind, text: &str) -> Vec<RemarkCause> {
    let wishes = Wishes {
        kind: Some(kind),
        ..Wishes::default()
    };
    let imported = import(text.as_bytes(), &wishes).unwrap();
    imported.remarks.iter().map(|r| r.finding).collect()
}

#[test]
fn an_address_behind_that_of_a_poll_of_coils_in_modpoll_is_eight_coils_further_on() {
    let text = "device,a,1\npoll,coil,16,24,BE_BE\nref,x,16,bool,r\nref,y,18,bool8,r\n";
    let read = points(FileKind::Modpoll, text);
    assert_eq!(read[0], "x_0, table: coil, address: 16");
    assert_eq!(read[7], "x_7, table: coil, address: 23");
    assert_eq!(read[8], "y_0, table: coil, address: 32");
    assert_eq!(read[15], "y_7, table: coil, address: 39");
}

#[test]
fn the_bits_of_a_register_in_modpoll_begin_with_its_high_byte() {
    let of = |kind: &str| {
        let text = format!("device,a,1\npoll,holding_register,0,9,BE_BE\nref,x,3,{kind},r\n");
        points(FileKind::Modpoll, &text)
    };
    let bit = |n: u8, bit: u8| format!("x_{n}, table: holding, address: 3, type: bit, bit: {bit}");
    let high: Vec<String> = (0..8).map(|n| bit(n, n + 8)).collect();
    assert_eq!(of("bool8"), high);
    assert_eq!(of("bool"), high);
    let low = (8..16).map(|n| bit(n, n - 8));
    assert_eq!(
        of("bool16"),
        high.into_iter().chain(low).collect::<Vec<_>>()
    );
}

#[test]
fn only_be_be_has_both_high_first_in_modpoll_and_an_unknown_word_the_words_low_first() {
    for (word, order) in [
        ("BE_BE", ""),
        ("le_be", ", order: BADC"),
        ("LE_LE", ", order: DCBA"),
        ("BE_LE", ", order: CDAB"),
        ("", ", order: CDAB"),
    ] {
        let text = format!("device,a,1\npoll,input_register,0,9,{word}\nref,xx,3,uint32,r\n");
        let wanted = format!("xx, table: input, address: 3, type: u32{order}");
        assert_eq!(points(FileKind::Modpoll, &text), [wanted], "{word}");
    }
}

#[test]
fn a_device_of_modpoll_may_have_a_reserved_unit_id() {
    let text = "device,a,254\npoll,input_register,0,9,BE_BE\nref,x,3,uint16,r\n";
    assert!(!findings(FileKind::Modpoll, text).contains(&RemarkCause::Unit));
}

/// Makes a hub of Home Assistant with one entry.
fn hub(list: &str, keys: &str) -> String {
    format!("modbus:\n - {{ name: h, type: tcp, host: a, {list}: [{{ name: e, {keys} }}] }}\n")
}

#[test]
fn the_further_binary_sensors_of_home_assistant_are_the_next_registers() {
    let text = hub(
        "binary_sensors",
        "address: 7, input_type: holding, virtual_count: 2",
    );
    let wanted = [("e", 7), ("e_1", 8), ("e_2", 9)]
        .map(|(id, at)| format!("{id}, table: holding, address: {at}, type: bit, bit: 0"));
    assert_eq!(points(FileKind::HomeAssistant, &text), wanted);
}

#[test]
fn the_number_of_none_of_home_assistant_is_the_number_that_is_read() {
    for (kind, none, wanted) in [
        ("float32", "-1", "type: f32, invalid: 0xBF800000"),
        ("float64", "1", "type: f64, invalid: 0x3FF0000000000000"),
        ("uint16", "\"FFFF\"", "type: u16, invalid: 0xFFFF"),
        ("int16", "0x8000", "type: i16, invalid: 0x8000"),
    ] {
        let keys = format!("address: 7, data_type: {kind}, nan_value: {none}");
        let wanted = format!("e, table: holding, address: 7, {wanted}");
        assert_eq!(
            points(FileKind::HomeAssistant, &hub("sensors", &keys)),
            [wanted]
        );
    }
}

#[test]
fn what_home_assistant_does_with_a_value_is_told_if_it_is_not_carried_over() {
    for keys in ["min_value: 3", "max_value: 3", "scan_interval: 0"] {
        let keys = format!("address: 7, {keys}");
        let told = findings(FileKind::HomeAssistant, &hub("sensors", &keys));
        assert!(told.contains(&RemarkCause::Setting), "{keys}");
    }
}

#[test]
fn the_two_temperatures_of_a_climate_have_factors_of_their_own() {
    let text = hub(
        "climates",
        "address: 7, target_temp_register: 9, scale: 0.1, target_temp_scale: 0.5, current_temp_offset: 3",
    );
    let wanted = [
        "e_temperature, table: holding, address: 7, type: i16, scale: 0.1, offset: 3",
        "e_target, table: holding, address: 9, type: i16, scale: 0.5",
    ];
    assert_eq!(points(FileKind::HomeAssistant, &text), wanted);
}

#[test]
fn a_switch_of_home_assistant_may_be_on_with_several_numbers_and_be_among_coils() {
    let of = |keys: &str| {
        let text = hub("switches", &format!("address: 7, {keys}"));
        points(FileKind::HomeAssistant, &text)
    };
    let several = of("write_type: holding, verify: { state_on: [1, 2], state_off: 0 }");
    assert!(several[0].ends_with("values: { 0: \"off\", 1: \"on\", 2: \"on\" }"));
    for (word, table) in [
        ("coils", "coil"),
        ("discrete_input", "discrete"),
        ("holdings", "holding"),
    ] {
        let read = of(&format!(
            "write_type: coil, verify: {{ input_type: {word} }}"
        ));
        assert!(
            read[0].starts_with(&format!("e, table: {table},")),
            "{word}"
        );
    }
}

/// Makes a template of wb-mqtt-serial with one channel.
fn channel(keys: &str) -> String {
    format!(
        "{{ \"device\": {{ \"name\": \"d\", \"channels\": [ {{ \"name\": \"e\", {keys} }} ] }} }}"
    )
}

#[test]
fn the_words_of_wb_mqtt_serial_mean_what_its_documentation_says() {
    for (keys, wanted) in [
        // Without a table it is a holding register.
        (r#""address": 5"#, "holding, address: 5, type: u16"),
        (
            r#""reg_type": "press_counter", "address": 5"#,
            "input, address: 5, type: u16",
        ),
        // Texts: two characters in each register, and the half that holds a single one.
        (
            r#""address": 5, "format": "string8", "string_data_size": 6"#,
            "holding, address: 5, type: string, registers: 6",
        ),
        (
            r#""address": 5, "format": "string", "string_data_size": 6, "byte_order": "little_endian""#,
            "holding, address: 5, type: string, registers: 6, characters: 1, half: high",
        ),
        // Bits: a width that is not given is that of the format.
        (
            r#""address": "5:3""#,
            "holding, address: 5, type: u32, bits: 3..18",
        ),
        (
            r#""address": "5:3", "format": "u8""#,
            "holding, address: 5, type: u16, bits: 3..10",
        ),
        (
            r#""address": "5:14:4""#,
            "holding, address: 5, type: u32, bits: 14..17",
        ),
        (r#""address": "5:0""#, "holding, address: 5, type: u16"),
        (
            r#""address": "5:7:1""#,
            "holding, address: 5, type: bit, bit: 7",
        ),
        // Markers: 64 bits that are all set, and two of them.
        (
            r#""address": 5, "format": "s16", "error_value": "0xFFFFFFFFFFFFFFFF""#,
            "holding, address: 5, type: i16, invalid: 0xFFFF",
        ),
        (
            r#""address": 5, "error_value": "0xFFFF", "unsupported_value": "0xFFFE""#,
            "holding, address: 5, type: u16, invalid: [0xFFFF, 0xFFFE]",
        ),
    ] {
        let wanted = format!("e, table: {wanted}");
        let read = points(FileKind::WbMqttSerial, &channel(keys));
        assert_eq!(read, [wanted], "{keys}");
    }
}

#[test]
fn a_port_of_wb_mqtt_serial_that_is_switched_off_and_modules_are_told() {
    let device = |protocol: &str| {
        format!(
            r#"{{ "slave_id": 1, "name": "d", {protocol} "channels": [ {{ "name": "e", "address": 0 }} ] }}"#
        )
    };
    let port = |keys: &str, device: &str| {
        format!(r#"{{ "ports": [ {{ "path": "/dev/ttyS1", {keys} "devices": [ {device} ] }} ] }}"#)
    };
    let off = port(r#""enabled": false,"#, &device(""));
    assert_eq!(
        findings(FileKind::WbMqttSerial, &off),
        [RemarkCause::Disabled]
    );
    let module = port("", &device(r#""protocol": "modbus_io","#));
    assert_eq!(
        findings(FileKind::WbMqttSerial, &module),
        [RemarkCause::Protocol]
    );
}

/// Makes a plugin of Telegraf on a connection.
fn plugin(keys: &str) -> String {
    format!("[[inputs.modbus]]\nname = \"d\"\ncontroller = \"tcp://a:502\"\n{keys}\n")
}

#[test]
fn the_types_and_orders_of_telegraf_mean_what_it_reads() {
    for (kind, order, addresses, wanted) in [
        ("FLOAT32", "ABCD", "[5, 6]", "type: f32"),
        ("FLOAT32", "AB", "[5]", "type: u16"),
        ("UINT32", "MSW-BE", "[5, 6]", "type: u32"),
        ("UINT32", "MSW-LE", "[5, 6]", "type: u32, order: BADC"),
        ("UINT32", "LSW-BE", "[5, 6]", "type: u32, order: CDAB"),
        ("UINT32", "LSW-LE", "[5, 6]", "type: u32, order: DCBA"),
        ("UINT8L", "AB", "[5]", "type: u8"),
        ("UINT8L", "BA", "[5]", "type: u8, half: high"),
        ("INT8H", "BA", "[5]", "type: i8"),
        ("BIT", "AB", "[5]", "type: bit, bit: 3"),
        ("BIT", "DCBA", "[5]", "type: bit, bit: 11"),
    ] {
        let text = plugin(&format!(
            "slave_id = 1\nholding_registers = [ {{ name = \"e\", byte_order = \"{order}\", data_type = \"{kind}\", bit = 3, address = {addresses} }} ]"
        ));
        let wanted = format!("e, table: holding, address: 5, {wanted}");
        assert_eq!(
            points(FileKind::Telegraf, &text),
            [wanted],
            "{kind} {order}"
        );
    }
}

#[test]
fn a_float_of_telegraf_that_was_a_number_before_is_told() {
    let text = plugin(
        "slave_id = 1\nholding_registers = [ { name = \"e\", byte_order = \"ABCD\", data_type = \"FLOAT32\", address = [5, 6] } ]",
    );
    assert!(findings(FileKind::Telegraf, &text).contains(&RemarkCause::FloatOrNumber));
}

#[test]
fn telegraf_without_a_unit_id_asks_unit_0_and_without_a_table_holding_registers() {
    let coil = "coils = [ { name = \"e\", address = [5] } ]";
    let imported = of(&plugin(coil)).unwrap();
    assert_eq!(imported.devices[0].unit, Some(0));
    let line = format!("[[inputs.modbus]]\nname = \"d\"\ncontroller = \"/dev/ttyS1\"\n{coil}\n");
    assert!(findings(FileKind::Telegraf, &line).contains(&RemarkCause::Unit));
    let request = "configuration_type = \"request\"\n[[inputs.modbus.request]]\nfields = [ { address = 5, name = \"e\", type = \"INT16\" } ]";
    assert_eq!(
        points(FileKind::Telegraf, &plugin(request)),
        ["e, table: holding, address: 5, type: i16"]
    );
}

#[test]
fn only_the_style_that_telegraf_is_told_counts() {
    let text = plugin(
        "configuration_type = \"request\"\nslave_id = 1\ncoils = [ { name = \"e\", address = [5] } ]\n[[inputs.modbus.request]]\nslave_id = 1\nregister = \"coil\"\nfields = [ { address = 7, name = \"f\" } ]",
    );
    assert_eq!(
        points(FileKind::Telegraf, &text),
        ["f, table: coil, address: 7"]
    );
    assert!(findings(FileKind::Telegraf, &text).contains(&RemarkCause::Disabled));
}

/// Makes a meter of evcc with one register.
fn register(keys: &str) -> String {
    format!("power:\n  source: modbus\n  register: {{ address: 5, {keys} }}\n")
}

#[test]
fn the_decodings_of_evcc_mean_what_it_reads() {
    for (keys, wanted) in [
        ("type: holding, decode: bool8", "type: u8, half: high"),
        ("type: holding, decode: bool16", "type: u16"),
        (
            "type: holding, decode: bool16, bitmask: 0x0030",
            "type: u16, mask: 0x0030",
        ),
        (
            "type: holding, decode: bool16, bitmask: 0x0010",
            "type: bit, bit: 4",
        ),
        (
            "type: holding, decode: float32nans",
            "type: f32, order: CDAB",
        ),
        (
            "type: holding, decode: int16nan",
            "type: i16, invalid: [0x8000, 0x7FFF]",
        ),
        (
            "type: holding, decode: uint32nans",
            "type: u32, order: CDAB, invalid: 0xFFFFFFFF",
        ),
    ] {
        let wanted = format!("power, table: holding, address: 5, {wanted}");
        assert_eq!(points(FileKind::Evcc, &register(keys)), [wanted], "{keys}");
    }
}

#[test]
fn a_register_of_evcc_without_a_type_is_none() {
    assert!(findings(FileKind::Evcc, &register("decode: int16")).contains(&RemarkCause::Table));
}
