//! The options that restrict a hub's administrator, and what a hub may hold whoever fills it (policies §3).

use std::collections::BTreeMap;

macro_rules! options {
    ($($option:ident $name:literal $about:literal;)+) => {
        /// An administration option of a hub; 0 restricts nothing.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum AdminOption {
            $(#[doc = $about] $option,)+
        }

        impl AdminOption {
            /// Every option, in the order in which a new hub's are listed.
            pub const ALL: &'static [Self] = &[$(Self::$option),+];

            /// Its name on the wire and in vpncmd.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$option => $name,)+ }
            }

            /// What it does, in one line.
            #[must_use]
            pub fn about(self) -> &'static str {
                match self { $(Self::$option => $about,)+ }
            }
        }
    };
}

options! {
    AllowHubAdminChangeOption "allow_hub_admin_change_option" "The hub's administrator may change these options.";
    MaxUsers "max_users" "Users the hub may have.";
    MaxMultiLoginsPerUser "max_multilogins_per_user" "Sessions one user may have at a time.";
    MaxGroups "max_groups" "Groups the hub may have.";
    MaxAccessLists "max_accesslists" "Rules the hub's access list may have.";
    MaxSessionsClientBridgeApply "max_sessions_client_bridge_apply" "The limits of client and of bridge sessions count.";
    MaxSessions "max_sessions" "Sessions the hub may have at a time.";
    MaxSessionsClient "max_sessions_client" "Sessions of clients, where max_sessions_client_bridge_apply is set.";
    MaxSessionsBridge "max_sessions_bridge" "Sessions of bridges and routers, where max_sessions_client_bridge_apply is set.";
    MaxBitratesDownload "max_bitrates_download" "Bits per second that a session may receive at most.";
    MaxBitratesUpload "max_bitrates_upload" "Bits per second that a session may send at most.";
    DenyEmptyPassword "deny_empty_password" "Users whose password is empty come in from the server's own machine only.";
    DenyBridge "deny_bridge" "No session may bridge.";
    DenyRouting "deny_routing" "No session may route.";
    DenyQos "deny_qos" "No session has a connection of its own for priority frames.";
    DenyChangeUserPassword "deny_change_user_password" "Users cannot change their password themselves.";
    NoChangeUsers "no_change_users" "The hub's administrator cannot make, change or delete users.";
    NoChangeGroups "no_change_groups" "The hub's administrator cannot make, change or delete groups.";
    NoSecureNat "no_securenat" "The hub's administrator cannot switch SecureNAT or change its settings.";
    NoSecureNatEnableNat "no_securenat_enablenat" "The hub's administrator cannot switch on the NAT of SecureNAT.";
    NoSecureNatEnableDhcp "no_securenat_enabledhcp" "The hub's administrator cannot switch on the DHCP server of SecureNAT.";
    NoCascade "no_cascade" "The hub's administrator cannot make, change or delete cascades.";
    NoOnline "no_online" "The hub's administrator cannot put the hub online.";
    NoOffline "no_offline" "The hub's administrator cannot take the hub offline.";
    NoChangeLogConfig "no_change_log_config" "The hub's administrator cannot change what is logged.";
    NoDisconnectSession "no_disconnect_session" "The hub's administrator cannot end sessions.";
    NoDeleteIpTable "no_delete_iptable" "The hub's administrator cannot delete lines of the IP address table.";
    NoDeleteMacTable "no_delete_mactable" "The hub's administrator cannot delete lines of the MAC address table.";
    NoEnumSession "no_enum_session" "The hub's administrator cannot list sessions.";
    NoQuerySession "no_query_session" "The hub's administrator cannot look at a session.";
    NoChangeAdminPassword "no_change_admin_password" "The hub's administrator cannot change the hub's password.";
    NoChangeLogSwitchType "no_change_log_switch_type" "The hub's administrator cannot change when log files are closed.";
    NoChangeAccessList "no_change_access_list" "The hub's administrator cannot change the access list.";
    NoChangeAccessControlList "no_change_access_control_list" "The hub's administrator cannot change where clients may come from.";
    NoChangeCertList "no_change_cert_list" "The hub's administrator cannot change which authorities are trusted.";
    NoChangeCrlList "no_change_crl_list" "The hub's administrator cannot change which certificates are revoked.";
    NoReadLogFile "no_read_log_file" "The hub's administrator cannot list or read log files.";
    DenyHubAdminChangeExtOption "deny_hub_admin_change_ext_option" "The hub's administrator cannot change extended options.";
    NoDelayJitterPacketLoss "no_delay_jitter_packet_loss" "The hub's administrator cannot add access rules that delay or lose packets.";
    NoChangeMsg "no_change_msg" "The hub's administrator cannot change the message to users.";
    NoAccessListIncludeFile "no_access_list_include_file" "The hub's administrator cannot add access rules that read users from a file.";
}

impl AdminOption {
    /// The option of this name, ignoring case.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|option| option.name().eq_ignore_ascii_case(name))
    }
}

/// The administration options of one hub that are not 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AdminOptions(BTreeMap<AdminOption, u32>);

impl AdminOptions {
    /// The value.
    #[must_use]
    pub fn get(&self, option: AdminOption) -> u32 {
        self.0.get(&option).copied().unwrap_or(0)
    }

    /// Whether it restricts.
    #[must_use]
    pub fn is_set(&self, option: AdminOption) -> bool {
        self.get(option) != 0
    }

    /// The value of a limit; nothing when there is none.
    #[must_use]
    pub fn limit(&self, option: AdminOption) -> Option<u32> {
        Some(self.get(option)).filter(|value| *value != 0)
    }

    /// Sets one option.
    pub fn set(&mut self, option: AdminOption, value: u32) {
        if value == 0 {
            self.0.remove(&option);
        } else {
            self.0.insert(option, value);
        }
    }

    /// Those that are not 0.
    pub fn changed(&self) -> impl Iterator<Item = (AdminOption, u32)> + '_ {
        self.0.iter().map(|(option, value)| (*option, *value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::rpc::method::TABLE;

    #[test]
    fn table_has_the_stock_options() {
        assert_eq!(AdminOption::ALL.len(), 41);
        for option in AdminOption::ALL {
            assert_eq!(
                AdminOption::by_name(&option.name().to_ascii_uppercase()),
                Some(*option)
            );
        }
    }

    #[test]
    fn every_option_that_forbids_a_method_is_in_the_table() {
        for option in TABLE.iter().filter_map(|row| row.forbidden_by) {
            assert!(AdminOption::by_name(option).is_some(), "{option}");
        }
    }
}
