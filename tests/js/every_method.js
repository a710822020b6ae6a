// Calls every method that a server says it has through the functions of vpnrpc, SoftEther's own JSON-RPC client, and checks
// what comes back. Usage:
// node every_method.js HOST PORT PASSWORD CERTIFICATE KEY, files of an RSA certificate in PEM, with vpnrpc in NODE_PATH.
"use strict";

const assert = require("assert");
const fs = require("fs");
const https = require("https");
const VPN = require("vpnrpc");

const [host, port, password, ...files] = process.argv.slice(2);
const HUB = "vpnrpc";

// The class that vpnrpc's declarations name for the parameters of each of its functions: whoever uses it fills those in.
const declarations = fs.readFileSync(require.resolve("vpnrpc").replace(/\.js$/, ".d.ts"), "utf8");
const parameters = new Map(
    [...declarations.matchAll(/^\s+(\w+): \((?:in_param: (\w+))?\) => Promise<\w+>;/gm)].map(([, name, type]) => [name, type]),
);

// What the server says it has: its own page.
function manual() {
    return new Promise((resolve, reject) => {
        const options = { host, port, path: "/api/", rejectUnauthorized: false, headers: { "X-VPNADMIN-PASSWORD": password } };
        https.get(options, (response) => {
            let page = "";
            response.setEncoding("utf8").on("data", (data) => (page += data));
            response.on("end", () => resolve([...page.matchAll(/<section id="(\w+)">/g)].map((match) => match[1])));
        }).on("error", reject);
    });
}

// Calls one method as a user of vpnrpc would; methods younger than vpnrpc go through its general call.
async function call(rpc, method, fields) {
    if (typeof rpc[method] !== "function" || !parameters.has(method)) {
        return rpc.CallAsync(method, fields);
    }
    const type = parameters.get(method);
    return type ? rpc[method](new VPN[type](fields)) : rpc[method]();
}

// Each row: the method, its fields, and what is expected: a check of the result, or the numbers of possible refusals.
const H = { HubName_str: HUB };
// vpnrpc takes bytes as this and no other class.
const bytes = (text) => new Uint8Array(Buffer.from(text));
const [certificate, key] = files.map((file) => {
    const pem = fs.readFileSync(file, "utf8").replace(/-----[^-]+-----/g, "");
    return new Uint8Array(Buffer.from(pem, "base64"));
});
const base64 = (array) => Buffer.from(array).toString("base64");
const any = () => true;
const has = (list, test) => (result) => result[list].some(test);
const is = (fields) => (result) => Object.entries(fields).every(([name, value]) => result[name] === value);
const none = (list) => (result) => result[list].length === 0;
const access = {
    Active_bool: true, Priority_u32: 100, Discard_bool: true, Note_utf: "no web", Protocol_u32: 6,
    SrcIpAddress_ip: "10.0.0.0", SrcSubnetMask_ip: "255.0.0.0", DestIpAddress_ip: "0.0.0.0", DestSubnetMask_ip: "0.0.0.0",
    DestPortStart_u32: 80, DestPortEnd_u32: 80,
};
const link = {
    HubName_Ex_str: HUB, AccountName_utf: "to the moon", Hostname_str: "192.0.2.1", Port_u32: 443, HubName_str: "moon",
    Username_str: "rover", AuthType_u32: 2, PlainPassword_str: "dust", MaxConnection_u32: 1, UseEncrypt_bool: true,
};
const linkName = { HubName_str: HUB, AccountName_utf: "to the moon" };
const linkRequest = { HubName_Ex_str: HUB, AccountName_utf: "to the moon" };
const dnat = {
    Name_str: "web", Protocol_u32: 6, PortStart_u32: 18080, PortEnd_u32: 18080, ToIpAddress_ip: "10.0.1.26", ToPort_u32: 80,
    Sources_str: "203.0.113.0/24,198.51.100.0/24", DestIpAddress_ip: "0.0.0.0", HostName_str: "web.private",
};
const nat = {
    RpcHubName_str: HUB, MacAddress_bin: new Uint8Array([0x5e, 1, 2, 3, 4, 5]), Ip_ip: "192.168.77.1", Mask_ip: "255.255.255.0",
    UseNat_bool: true, Mtu_u32: 1400, NatTcpTimeout_u32: 1800, NatUdpTimeout_u32: 60, UseDhcp_bool: true,
    DhcpLeaseIPStart_ip: "192.168.77.10", DhcpLeaseIPEnd_ip: "192.168.77.99", DhcpSubnetMask_ip: "255.255.255.0",
    DhcpExpireTimeSpan_u32: 7200, DhcpGatewayAddress_ip: "192.168.77.1", DhcpDnsServerAddress_ip: "192.168.77.1",
};
const crl = (more) => ({ ...H, CommonName_utf: "mallory", ...more });
// What later calls need of earlier answers.
const seen = {};
const keep = (name, of) => (result) => ((seen[name] = of(result)), true);

const steps = [
    ["Test", { IntValue_u32: 7 }, is({ IntValue_u32: 7 })],
    ["GetServerInfo", {}, (r) => r.ServerVerInt_u32 >= 500],
    ["GetServerStatus", {}, (r) => r.NumHubTotal_u32 === 0 || r.NumHubTotal_u32 > 0],
    ["GetCaps", {}, has("CapsList", (cap) => cap.CapsName_str === "b_support_securenat")],
    ["GetAdminMsg", {}, any],
    ["Flush", {}, any],
    ["SetServerPassword", { PlainTextPassword_str: password }, any],

    ["CreateListener", { Port_u32: 28443, Enable_bool: true }, is({ Port_u32: 28443 })],
    ["CreateListener", { Port_u32: 28443, Enable_bool: true }, [54]],
    ["EnableListener", { Port_u32: 28443, Enable_bool: false }, any],
    ["EnumListener", {}, has("ListenerList", (row) => row.Ports_u32 === 28443 && !row.Enables_bool)],
    ["DeleteListener", { Port_u32: 28443 }, any],
    ["DeleteListener", { Port_u32: 28443 }, [53]],
    ["GetPortsUDP", {}, any],
    ["SetPortsUDP", { Ports_u32: [] }, [0, 33]],
    ["GetSpecialListener", {}, is({ VpnOverIcmpListener_bool: false })],
    ["SetSpecialListener", { VpnOverIcmpListener_bool: false }, [0, 33]],

    ["CreateHub", { ...H, AdminPasswordPlainText_str: "secret", Online_bool: true, MaxSession_u32: 9, HubType_u32: 0 }, is(H)],
    ["CreateHub", { ...H, Online_bool: true }, [57]],
    ["SetHub", { ...H, AdminPasswordPlainText_str: "secret", Online_bool: true, MaxSession_u32: 12, HubType_u32: 0 }, any],
    ["GetHub", H, is({ MaxSession_u32: 12 })],
    ["EnumHub", {}, has("HubList", (hub) => hub.HubName_str === HUB && hub.Online_bool)],
    ["SetHubOnline", { ...H, Online_bool: false }, any],
    ["SetHubOnline", { ...H, Online_bool: true }, any],
    ["GetHubStatus", H, is({ Online_bool: true })],
    ["SetHubMsg", { ...H, Msg_bin: bytes("Grüße") }, any],
    ["GetHubMsg", H, (r) => Buffer.from(r.Msg_bin, "base64").toString() === "Grüße"],
    ["SetHubLog", { ...H, SaveSecurityLog_bool: true, SecurityLogSwitchType_u32: 4, SavePacketLog_bool: false,
                    PacketLogSwitchType_u32: 4, PacketLogConfig_u32: [0, 0, 0, 0, 0, 0, 0, 0] }, any],
    ["GetHubLog", H, is({ SaveSecurityLog_bool: true })],
    ["SetHubRadius", { ...H, RadiusServerName_str: "192.0.2.7", RadiusPort_u32: 1812, RadiusSecret_str: "s", RadiusRetryInterval_u32: 500 }, any],
    ["GetHubRadius", H, is({ RadiusServerName_str: "192.0.2.7" })],
    ["GetHubExtOptions", H, (r) => r.AdminOptionList.length > 10],
    ["SetHubExtOptions", { ...H, AdminOptionList: [{ Name_str: "NoArpPolling", Value_u32: 1 }] }, any],
    ["GetHubAdminOptions", H, (r) => r.AdminOptionList.length > 10],
    ["SetHubAdminOptions", { ...H, AdminOptionList: [{ Name_str: "no_change_users", Value_u32: 0 }] }, any],
    ["GetDefaultHubAdminOptions", H, (r) => r.AdminOptionList.length > 10],

    ["CreateGroup", { ...H, Name_str: "staff", Realname_utf: "Staff", UsePolicy_bool: false }, is({ Name_str: "staff" })],
    ["SetGroup", { ...H, Name_str: "staff", Realname_utf: "All of them", UsePolicy_bool: false }, any],
    ["GetGroup", { ...H, Name_str: "staff" }, is({ Realname_utf: "All of them" })],
    ["EnumGroup", H, has("GroupList", (group) => group.Name_str === "staff")],
    ["CreateUser", { ...H, Name_str: "ann", Realname_utf: "Änn", GroupName_str: "staff", AuthType_u32: 1, Auth_Password_str: "pw",
                     ExpireTime_dt: new Date("2040-01-02T03:04:05.678Z"), UsePolicy_bool: true, "policy:Access_bool": true,
                     "policy:MaxConnection_u32": 5, "policy:TimeOut_u32": 20 }, is({ Realname_utf: "Änn" })],
    ["CreateUser", { ...H, Name_str: "ann" }, [66]],
    ["GetUser", { ...H, Name_str: "ann" }, (r) => r.ExpireTime_dt === "2040-01-02T03:04:05.678Z" && r["policy:MaxConnection_u32"] === 5],
    ["SetUser", { ...H, Name_str: "ann", Note_utf: "a \"note\"", AuthType_u32: 0 }, any],
    ["EnumUser", H, has("UserList", (user) => user.Name_str === "ann" && user.Note_utf === "a \"note\"")],
    ["DeleteUser", { ...H, Name_str: "ann" }, any],
    ["GetUser", { ...H, Name_str: "ann" }, [29]],
    ["DeleteGroup", { ...H, Name_str: "staff" }, any],

    ["EnumSession", H, (r) => Array.isArray(r.SessionList)],
    ["GetSessionStatus", { ...H, Name_str: "SID-NOBODY-1" }, [29]],
    ["DeleteSession", { ...H, Name_str: "SID-NOBODY-1" }, [29]],
    ["EnumMacTable", H, (r) => Array.isArray(r.MacTable)],
    ["DeleteMacTable", { ...H, Key_u32: 4711 }, [29]],
    ["EnumIpTable", H, (r) => Array.isArray(r.IpTable)],
    ["DeleteIpTable", { ...H, Key_u32: 4711 }, [29]],
    ["EnumConnection", {}, (r) => keep("connection", (r) => r.ConnectionList[0].Name_str)(r)],
    ["GetConnectionInfo", () => ({ Name_str: seen.connection }), any],
    ["DisconnectConnection", { Name_str: "CID-4711" }, [29]],

    ["SetSecureNATOption", nat, any],
    ["GetSecureNATOption", { RpcHubName_str: HUB }, is({ Ip_ip: "192.168.77.1", UseDhcp_bool: true })],
    ["GetSecureNATStatus", H, is({ NumTcpSessions_u32: 0, IsKernelMode_bool: false })],
    ["EnumNAT", H, (r) => r.NatTable.length === 0],
    ["EnumDHCP", H, (r) => r.DhcpTable.length === 0],
    ["AddDhcpReservation", { ...H, IpAddress_ip: "192.168.77.50", MacAddress_bin: new Uint8Array([2, 0, 0, 0, 0, 1]) }, any],
    ["EnumDhcpReservation", H, has("ReservationList", (row) => row.IpAddress_ip === "192.168.77.50")],
    ["DeleteDhcpReservation", { ...H, IpAddress_ip: "192.168.77.50" }, any],
    ["GetSecureNATIPv6", H, is({ Enabled_bool: false })],
    ["SetSecureNATIPv6", { ...H, Enabled_bool: false, Prefix_str: "fd01:203:405::/64" }, any],
    ["EnableSecureNAT", H, any],
    ["DisableSecureNAT", H, any],
    ["EnumEthernet", {}, (r) => Array.isArray(r.EthList)],
    ["GetBridgeSupport", {}, is({ IsBridgeSupportedOs_bool: true })],
    ["AddLocalBridge", { DeviceName_str: "no such thing", HubNameLB_str: "" }, [38]],
    ["EnumLocalBridge", {}, none("LocalBridgeList")],
    ["SetLocalBridge", { DeviceName_str: "nothing", HubNameLB_str: HUB }, [29]],
    ["DeleteLocalBridge", { DeviceName_str: "nothing", HubNameLB_str: HUB }, [29]],
    ["TestDnat", dnat, is({ Refusal_utf: "" })],
    ["AddDnat", dnat, any],
    ["SetDnat", { ...dnat, PortStart_u32: 18081, PortEnd_u32: 18081 }, is({ PortStart_u32: 18081 })],
    ["EnableDnat", { Name_str: "web", Enable_bool: false }, any],
    ["EnumDnat", {}, has("DnatList", (rule) => rule.Name_str === "web")],
    ["DeleteDnat", { Name_str: "web" }, any],

    ["RegenerateServerCert", { StrValue_str: "vpn.example" }, any],
    ["SetServerCert", { Cert_bin: certificate, Key_bin: key }, any],
    ["GetServerCert", {}, (r) => r.Cert_bin === base64(certificate)],
    ["SetServerCert", { Cert_bin: bytes("no certificate") }, [4]],
    ["GetServerCipherList", {}, (r) => r.String_str.includes(";")],
    ["GetServerCipher", {}, keep("cipher", (r) => r.String_str)],
    ["SetServerCipher", () => ({ String_str: seen.cipher }), any],
    ["SetServerCipher", { String_str: "ROT13" }, [56]],

    ["AddCa", { ...H, Cert_bin: certificate }, any],
    ["EnumCa", H, keep("ca", (r) => r.CAList[0].Key_u32)],
    ["GetCa", () => ({ ...H, Key_u32: seen.ca }), (r) => r.Cert_bin === base64(certificate)],
    ["DeleteCa", () => ({ ...H, Key_u32: seen.ca }), any],
    ["DeleteCa", () => ({ ...H, Key_u32: seen.ca }), [29]],
    ["AddCrl", crl(), any],
    ["EnumCrl", H, keep("crl", (r) => r.CRLList[0].Key_u32)],
    ["SetCrl", () => crl({ Key_u32: seen.crl, Organization_utf: "evil" }), any],
    ["EnumCrl", H, keep("crl", (r) => r.CRLList[0].Key_u32)],
    ["GetCrl", () => ({ ...H, Key_u32: seen.crl }), is({ Organization_utf: "evil" })],
    ["DelCrl", () => ({ ...H, Key_u32: seen.crl }), any],

    ["AddAccess", { ...H, AccessListSingle: [access] }, any],
    ["EnumAccess", H, keep("access", (r) => r.AccessList[0].UniqueId_u32)],
    ["DeleteAccess", () => ({ ...H, Id_u32: seen.access }), any],
    ["SetAccessList", { ...H, AccessList: [access, { ...access, Priority_u32: 200 }] }, any],
    ["EnumAccess", H, (r) => r.AccessList.length === 2 && r.AccessList[1].DestPortEnd_u32 === 80],
    ["SetAcList", { ...H, ACList: [{ Priority_u32: 10, Deny_bool: true, IpAddress_ip: "192.0.2.1" }] }, any],
    ["GetAcList", H, has("ACList", (rule) => rule.Deny_bool && rule.IpAddress_ip === "192.0.2.1")],

    ["CreateLink", link, any],
    ["CreateLink", link, [59]],
    ["GetLink", linkRequest, is({ Hostname_str: "192.0.2.1" })],
    ["SetLink", { ...link, Hostname_str: "192.0.2.2" }, any],
    ["EnumLink", H, has("LinkList", (row) => row.Hostname_str === "192.0.2.2")],
    ["SetLinkOnline", linkName, any],
    ["GetLinkStatus", linkRequest, any, [61]],
    ["SetLinkOffline", linkName, any],
    ["RenameLink", { ...H, OldAccountName_utf: "to the moon", NewAccountName_utf: "to mars" }, any],
    ["DeleteLink", { ...H, AccountName_utf: "to mars" }, any],
    ["DeleteLink", { ...H, AccountName_utf: "to mars" }, [29]],

    ["AddL3Switch", { Name_str: "sw" }, any],
    ["EnumL3Switch", {}, has("L3SWList", (row) => row.Name_str === "sw")],
    ["AddL3If", { Name_str: "sw", HubName_str: HUB, IpAddress_ip: "10.9.0.1", SubnetMask_ip: "255.255.255.0" }, any],
    ["EnumL3If", { Name_str: "sw" }, has("L3IFList", (row) => row.IpAddress_ip === "10.9.0.1")],
    ["AddL3Table", { Name_str: "sw", NetworkAddress_ip: "10.8.0.0", SubnetMask_ip: "255.255.0.0", GatewayAddress_ip: "10.9.0.2", Metric_u32: 1 }, any],
    ["EnumL3Table", { Name_str: "sw" }, has("L3Table", (row) => row.GatewayAddress_ip === "10.9.0.2")],
    ["StartL3Switch", { Name_str: "sw" }, any],
    ["StopL3Switch", { Name_str: "sw" }, any],
    ["DelL3Table", { Name_str: "sw", NetworkAddress_ip: "10.8.0.0", SubnetMask_ip: "255.255.0.0", GatewayAddress_ip: "10.9.0.2", Metric_u32: 1 }, any],
    ["DelL3If", { Name_str: "sw", HubName_str: HUB }, any],
    ["DelL3Switch", { Name_str: "sw" }, any],
    ["DelL3Switch", { Name_str: "sw" }, [93]],

    ["SetKeep", { UseKeepConnect_bool: false, KeepConnectHost_str: "keep.example", KeepConnectPort_u32: 80, KeepConnectProtocol_u32: 0, KeepConnectInterval_u32: 50 }, any],
    ["GetKeep", {}, is({ KeepConnectHost_str: "keep.example" })],
    ["SetSysLog", { SaveType_u32: 0, Hostname_str: "", Port_u32: 514 }, any],
    ["GetSysLog", {}, is({ SaveType_u32: 0 })],
    ["EnumLogFile", {}, (r) => Array.isArray(r.LogFiles)],
    ["ReadLogFile", { FilePath_str: "no such file", Offset_u32: 0 }, any, [29]],
    ["EnumAudit", { Max_u32: 5 }, (r) => r.AuditList.length === 5 && r.AuditList[0].Transport_str === "json"],

    ["GetProtoOptions", { Protocol_str: "OpenVPN" }, any, [33, 38]],
    ["SetProtoOptions", { Protocol_str: "OpenVPN", OptionList: [] }, any, [33, 38]],
    ["GetOpenVpnSstpConfig", {}, is({ EnableOpenVPN_bool: false, EnableSSTP_bool: false })],
    ["SetOpenVpnSstpConfig", { EnableOpenVPN_bool: false, EnableSSTP_bool: false }, any, [33]],
    ["MakeOpenVpnConfigFile", {}, [33, 142]],
    ["GetIPsecServices", {}, is({ L2TP_IPsec_bool: false })],
    ["SetIPsecServices", { L2TP_IPsec_bool: false }, any, [33]],
    ["AddEtherIpId", { Id_str: "x", HubName_str: HUB, UserName_str: "x" }, any, [33]],
    ["GetEtherIpId", { Id_str: "y" }, any, [29, 33]],
    ["EnumEtherIpId", {}, any, [33]],
    ["DeleteEtherIpId", { Id_str: "x" }, any, [29, 33]],
    ["AddWgk", { WgkList: [] }, any, [33, 38]],
    ["EnumWgk", {}, any, [33]],
    ["DeleteWgk", { WgkList: [] }, any, [33, 38]],
    ["GetFarmSetting", {}, is({ ServerType_u32: 0 })],
    ["SetFarmSetting", { ServerType_u32: 0 }, any, [33]],
    ["GetFarmInfo", { Id_u32: 1 }, any, [29, 33, 46]],
    ["EnumFarmMember", {}, any, [33, 46]],
    ["GetFarmConnectionStatus", {}, any, [33, 55]],
    ["GetDDnsClientStatus", {}, any, [33]],
    ["ChangeDDnsClientHostname", { StrValue_str: "x" }, any, [33]],
    ["GetDDnsInternetSettng", {}, any, [33]],
    ["GetDDnsInternetSetting", {}, any, [33]],
    ["SetDDnsInternetSettng", {}, any, [33]],
    ["SetDDnsInternetSetting", {}, any, [33]],
    ["GetAzureStatus", {}, any, [33]],
    ["SetAzureStatus", { IsEnabled_bool: false }, any, [33]],
    ["AddLicenseKey", { StrValue_str: "x" }, any, [33, 118]],
    ["DelLicenseKey", { IntValue_u32: 1 }, any, [29, 33]],
    ["EnumLicenseKey", {}, any, [33]],
    ["GetLicenseStatus", {}, any, [33]],
    ["EnumEthVLan", {}, any, [33]],
    ["SetEnableEthVLan", { StrValue_str: "eth0", IntValue_u32: 1 }, any, [29, 33, 38]],
    ["Debug", { IntValue_u32: 999999 }, any, [33, 38]],
    ["Crash", {}, [33]],
    ["GetConfig", {}, (r) => r.FileData_bin.length > 0],
    ["SetConfig", { FileName_str: "x", FileData_bin: bytes("no configuration") }, [33, 38]],
    ["EnumBackup", {}, any],
    ["RestoreBackup", { Id_u32: 4711, Id_u64: 4711, Name_str: "no such state" }, [29, 38]],
    ["DeleteHub", H, any],
    ["DeleteHub", H, [8]],
    // Last, for the server may be another one afterwards.
    ["RebootServer", {}, any, [33]],
];

async function main() {
    const rpc = new VPN.VpnServerRpc(host, Number(port), "", password, false);
    const there = new Set(await manual());
    assert(there.size > 50, "the page lists the methods");
    const called = new Set();
    const wrong = [];
    for (const [method, fields, check, others] of steps) {
        called.add(method);
        const expected = there.has(method) ? { check, others: others || [] } : { check: [33], others: [] };
        const numbers = Array.isArray(expected.check) ? expected.check : expected.others;
        let outcome;
        try {
            // What a method needs of an answer that never came is as good as nothing.
            const result = await call(rpc, method, typeof fields === "function" ? fields() : fields);
            const right = Array.isArray(expected.check) ? numbers.includes(0) : expected.check(result);
            outcome = right ? "" : `came back with ${JSON.stringify(result)}`;
        } catch (error) {
            const code = error.Error && error.Error.code;
            outcome = numbers.includes(code) ? "" : `was refused: ${error.message}`;
        }
        if (outcome) {
            wrong.push(`${method} ${outcome}`);
        }
    }
    const without = [...there].filter((method) => !called.has(method));
    console.log(`${there.size} methods, ${called.size} called, without a call: ${without.join(" ") || "none"}`);
    for (const line of wrong) {
        console.log(line);
    }
    process.exitCode = without.length || wrong.length ? 1 : 0;

    // Who does not know the password is not let in, and a hub's administrator has the one hub.
    const stranger = new VPN.VpnServerRpc(host, Number(port), "", "wrong", false);
    await assert.rejects(stranger.GetServerInfo(), "a wrong password");
}

main().catch((error) => {
    console.log(error.stack);
    process.exitCode = 1;
});
