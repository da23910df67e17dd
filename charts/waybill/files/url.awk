# Leaves of a URL of Postgres what the service itself uses. The rest the service ignores, but libpq
# refuses each parameter that is newer than it is, or that only the service's driver knows.
BEGIN {
    used = "^(host|port|dbname|user|password|sslmode|ssl|sslrootcert|sslcert|sslkey|application_name)=."
}
{
    mark = index($0, "?")
    place = mark ? substr($0, 1, mark - 1) : $0
    count = mark ? split(substr($0, mark + 1), parameters, "&") : 0
    options = kept = ""
    for (i = 1; i <= count; i++) {
        parameter = parameters[i]
        if (parameter ~ used)
            kept = kept "&" parameter
        else if (sub(/^options=/, "", parameter))
            options = options "%20" parameter
        # The driver's own way to write one of them: options[name]=value.
        else if (sub(/^options\[/, "", parameter) && sub(/\]=/, "%3D", parameter)) {
            gsub(/%20/, "%5C%20", parameter)
            options = options "%20-c%20" parameter
        }
    }
    if (options != "")
        kept = kept "&options=" options
    print place (kept == "" ? "" : "?" substr(kept, 2))
}
