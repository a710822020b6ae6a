//! Results of the stock JSON-RPC interface.

use protocol::rpc::method;
use serde_json::Value;

use crate::capture::{calls, folder};

#[test]
fn results_of_the_json_interface_are_written_as_they_were_read() {
    let mut files = 0;
    for entry in std::fs::read_dir(folder().join("json")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let row = method::find(name.split('-').next().unwrap()).unwrap();
        let stock: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let pack = (row.response.json_to_pack)(&stock).unwrap();
        let ours = (row.response.pack_to_json)(&pack).unwrap();
        assert_eq!(ours, stock, "{name}");
        files += 1;
    }
    assert!(files > 0);
}

#[test]
fn both_encodings_have_the_same_time() {
    let json = std::fs::read(folder().join("json/EnumHub.json")).unwrap();
    let json: Value = serde_json::from_slice(&json).unwrap();
    let row = method::find("EnumHub").unwrap();
    let pack = (row.response.pack_to_json)(&calls("EnumHub")[0].answer).unwrap();
    for hub in 0..4 {
        assert_eq!(
            pack["HubList"][hub]["CreatedTime_dt"],
            json["HubList"][hub]["CreatedTime_dt"]
        );
    }
}
