//! Results of the stock JSON-RPC interface.

use protocol::rpc::method;
use serde_json::Value;

use crate::capture::folder;

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
