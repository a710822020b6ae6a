//! Pages for browsers and scanners, and for the probe of older clients (protocol §2.2, §2.3).

/// Status line and body.
pub type Page = (&'static str, &'static str);

/// Answers `GET /`. Clients of 4.x and 5.01 go on only if the first 1023 bytes hold the tag in the comment.
pub const ROOT: Page = (
    "200 OK",
    "<!DOCTYPE html>\r\n<html lang=\"en\"><head><title>Hubward</title></head>\r\n\
     <!-- 9C37197CA7C2428388C2E6E59B829B30 -->\r\n\
     <body><h1>Hubward</h1><p>A VPN server listens here. Connect with a VPN client.</p></body></html>\r\n",
);

/// Answers an upload that is no signature.
pub const FORBIDDEN: Page = (
    "403 Forbidden",
    "<!DOCTYPE html>\r\n<html lang=\"en\"><head><title>403 Forbidden</title></head>\r\n\
     <body><h1>Forbidden</h1></body></html>\r\n",
);

/// Answers any other path.
pub const NOT_FOUND: Page = (
    "404 Not Found",
    "<!DOCTYPE html>\r\n<html lang=\"en\"><head><title>404 Not Found</title></head>\r\n\
     <body><h1>Not Found</h1></body></html>\r\n",
);

/// Answers any other method.
pub const NOT_IMPLEMENTED: Page = (
    "501 Method Not Implemented",
    "<!DOCTYPE html>\r\n<html lang=\"en\"><head><title>501 Method Not Implemented</title></head>\r\n\
     <body><h1>Method Not Implemented</h1></body></html>\r\n",
);
