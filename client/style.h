/* The attributes in which a terminal shows things (ECMA-48 8.3.117, SGR). */
#ifndef CLIENT_STYLE_H
#define CLIENT_STYLE_H

#define STYLE_END	"\033[0m"
#define STYLE_DIM	"\033[2m"
#define STYLE_BOLD	"\033[1m"
#define STYLE_ITALIC	"\033[3m"
#define STYLE_CODE	"\033[36m"
#define STYLE_HEADING	"\033[1;34m"
#define STYLE_COMMENT	"\033[2m"
#define STYLE_STRING	"\033[32m"
#define STYLE_NUMBER	"\033[35m"
#define STYLE_KEYWORD	"\033[1;34m"

#endif
