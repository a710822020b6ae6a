//! Writers. Each sets an element and returns the PACK again; an element that exists already is replaced in its place,
//! and an empty list removes it, since an element without values cannot be written.

use std::net::{IpAddr, Ipv6Addr};

use super::{Element, NAME_BYTES, Pack, Values, clean};

impl Pack {
    /// Sets an INT.
    pub fn set_int(&mut self, name: &str, value: u32) -> &mut Self {
        self.set_ints(name, &[value])
    }

    /// Sets a flag: INT 0 or 1.
    pub fn set_bool(&mut self, name: &str, value: bool) -> &mut Self {
        self.set_int(name, u32::from(value))
    }

    /// Sets an INT64.
    pub fn set_int64(&mut self, name: &str, value: u64) -> &mut Self {
        self.set_int64s(name, &[value])
    }

    /// Sets a STR. Blanks and tabs at its ends do not survive the wire.
    pub fn set_str(&mut self, name: &str, value: &str) -> &mut Self {
        self.set_strs(name, &[value])
    }

    /// Sets a UNISTR. Blanks and tabs at its ends do not survive the wire.
    pub fn set_unistr(&mut self, name: &str, value: &str) -> &mut Self {
        self.set_unistrs(name, &[value])
    }

    /// Sets a DATA, which may have no bytes.
    pub fn set_data(&mut self, name: &str, value: &[u8]) -> &mut Self {
        self.set_datas(name, &[value])
    }

    /// Sets an IP quadruple: `NAME`, `NAME@ipv6_bool`, `NAME@ipv6_array`, `NAME@ipv6_scope_id`.
    pub fn set_ip(&mut self, name: &str, value: IpAddr) -> &mut Self {
        self.set_ips(name, &[value])
    }

    /// Sets an INT with a value per item.
    pub fn set_ints(&mut self, name: &str, values: &[u32]) -> &mut Self {
        self.set(name, Values::Int(values.to_vec()))
    }

    /// Sets an INT with a flag per item.
    pub fn set_bools(&mut self, name: &str, values: &[bool]) -> &mut Self {
        self.set(name, Values::Int(values.iter().map(|v| u32::from(*v)).collect()))
    }

    /// Sets an INT64 with a value per item.
    pub fn set_int64s(&mut self, name: &str, values: &[u64]) -> &mut Self {
        self.set(name, Values::Int64(values.to_vec()))
    }

    /// Sets a STR with a value per item.
    pub fn set_strs<S: AsRef<str>>(&mut self, name: &str, values: &[S]) -> &mut Self {
        self.set(name, Values::Str(cleaned(values)))
    }

    /// Sets a UNISTR with a value per item.
    pub fn set_unistrs<S: AsRef<str>>(&mut self, name: &str, values: &[S]) -> &mut Self {
        self.set(name, Values::UniStr(cleaned(values)))
    }

    /// Sets a DATA with a value per item.
    pub fn set_datas<D: AsRef<[u8]>>(&mut self, name: &str, values: &[D]) -> &mut Self {
        self.set(
            name,
            Values::Data(values.iter().map(|v| v.as_ref().to_vec()).collect()),
        )
    }

    /// Sets an IP quadruple with an address per item.
    pub fn set_ips(&mut self, name: &str, values: &[IpAddr]) -> &mut Self {
        let v4 = values.iter().map(|ip| match ip {
            IpAddr::V4(ip) => u32::from_le_bytes(ip.octets()),
            IpAddr::V6(_) => 0,
        });
        let array = values.iter().map(|ip| match ip {
            IpAddr::V4(_) => Ipv6Addr::UNSPECIFIED.octets().to_vec(),
            IpAddr::V6(ip) => ip.octets().to_vec(),
        });
        let (v4, array) = (v4.collect(), array.collect());
        let v6 = values.iter().map(IpAddr::is_ipv6).collect::<Vec<_>>();
        self.set(name, Values::Int(v4))
            .set(&format!("{name}@ipv6_array"), Values::Data(array))
            .set_bools(&format!("{name}@ipv6_bool"), &v6)
            .set_ints(&format!("{name}@ipv6_scope_id"), &vec![0; values.len()])
    }

    /// Removes an element.
    pub fn remove(&mut self, name: &str) -> &mut Self {
        self.elements.retain(|e| !e.name.eq_ignore_ascii_case(name));
        self
    }

    fn set(&mut self, name: &str, values: Values) -> &mut Self {
        let name = &name[..name.floor_char_boundary(NAME_BYTES)];
        if values.len() == 0 {
            return self.remove(name);
        }
        match self
            .elements
            .iter_mut()
            .find(|e| e.name.eq_ignore_ascii_case(name))
        {
            Some(element) => element.values = values,
            None => self.elements.push(Element {
                name: name.to_owned(),
                values,
            }),
        }
        self
    }
}

fn cleaned<S: AsRef<str>>(values: &[S]) -> Vec<String> {
    values.iter().map(|v| clean(v.as_ref()).to_owned()).collect()
}
