# Checks of the end-to-end tests: each prints a line "ok NAME" or "FAIL NAME".

good() {
	echo "ok $*"
}

bad() {
	echo "FAIL $*"
}

# expect NAME STATUS[,STATUS] TEXT COMMAND...: it ends with one of the statuses
# and its output (both streams) has the text.
expect() {
	_name=$1 _want=$2 _text=$3
	shift 3
	_got=0
	"$@" >"$T/expect.out" 2>&1 || _got=$?
	case ",$_want," in
	*,$_got,*) ;;
	*)
		bad "$_name: status $_got, not $_want"
		sed 's/^/    /' "$T/expect.out" | cut -c 1-300 | tail -n 15
		return 0 ;;
	esac
	if [ -z "$_text" ] || grep -qF -e "$_text" "$T/expect.out"; then
		good "$_name"
	else
		bad "$_name: \"$_text\" is not in the output"
		sed 's/^/    /' "$T/expect.out" | cut -c 1-300 | tail -n 15
	fi
}

# expect_not NAME TEXT COMMAND...: it succeeds and its output lacks the text.
expect_not() {
	_name=$1 _text=$2
	shift 2
	if ! "$@" >"$T/expect.out" 2>&1; then
		bad "$_name: the command failed"
	elif grep -qF -e "$_text" "$T/expect.out"; then
		bad "$_name: \"$_text\" is in the output"
	else
		good "$_name"
	fi
}
